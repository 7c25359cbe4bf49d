"""Makes an object file of the program, with the distribution's clang, and keeps it for the next time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from contextlib import suppress
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "program"
_OPTIONS = ("-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3")
_PATIENCE = 300  # seconds; an emulated machine is slow
_HEADER = Path("/usr/include/bpf/bpf_helpers.h")
_KEPT = 4  # object files: of other checkouts, and of what this one was a while ago


class CannotCompile(Exception):
    """What is missing and what to do, without a full stop."""


def compiled() -> Path:
    """The object file. Raises CannotCompile."""
    place = _cache() / f"ebpf-{_fingerprint()}.o"
    try:
        if not place.exists():
            _compile(place)
            _tidy(place.parent)
    except OSError as error:
        raise CannotCompile(
            f"its program can't be kept in {place.parent} ({error.strerror}): set LVS_CACHE to another"
        ) from None
    with suppress(OSError):  # somebody else's folder: it is not ours to tidy up
        place.touch()
    return place


def _cache() -> Path:
    told = os.environ.get("LVS_CACHE")
    return (
        Path(told) if told else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lvs-lab"
    )


def _fingerprint() -> str:
    """The same for the same program and options; which compiler it was hardly matters."""
    digest = hashlib.sha256(" ".join(_OPTIONS).encode())
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(place: Path) -> None:
    clang = shutil.which("clang", path=os.environ.get("PATH", "") + ":/usr/bin")
    if clang is None or not _HEADER.exists():
        raise CannotCompile("its program has to be compiled: run `apt-get install clang libbpf-dev`")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        made = Path(folder, "lvs.o")
        command = [clang, *_OPTIONS, *_includes(), "-c", str(SOURCE / "lvs.c"), "-o", str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise CannotCompile(f"clang took more than {_PATIENCE} s over its program: try again") from None
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[0]
            raise CannotCompile(f"clang does not compile its program ({reason})")
        made.rename(place)


def _tidy(cache: Path) -> None:
    """Those stay that were used last."""
    objects = sorted(cache.glob("ebpf-*.o"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in objects[_KEPT:]:
        path.unlink(missing_ok=True)


def _includes() -> list[str]:
    """Where the distribution has asm/types.h: by architecture."""
    machine = sysconfig.get_config_var("MULTIARCH")
    return [f"-I/usr/include/{machine}"] if machine else []
