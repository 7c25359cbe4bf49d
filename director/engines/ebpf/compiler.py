"""Makes an object file of the program, with the distribution's clang, and keeps it for the next time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from contextlib import suppress
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "program"
_OPTIONS = ("-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3")
_PATIENCE = 300  # seconds; an emulated machine is slow
_UNUSED = 30 * 86400  # seconds after which an object goes, when another is made


class CannotCompile(Exception):
    """What is missing and what to do, without a full stop."""


def compiled() -> Path:
    """The object file. Raises CannotCompile."""
    place = _cache() / f"ebpf-{_fingerprint()}.o"
    if not place.exists():
        _compile(place)
        _forget_old(place.parent)
    with suppress(OSError):  # somebody else's cache will do
        os.utime(place)
    return place


def _forget_old(folder: Path) -> None:
    """Objects that no checkout has used for long."""
    for path in folder.glob("ebpf-*.o"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _UNUSED:
                path.unlink()


def _cache() -> Path:
    told = os.environ.get("LVS_CACHE")
    return (
        Path(told) if told else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lvs-lab"
    )


def _fingerprint() -> str:
    """The same for the same program, compiled in the same way; which clang it is hardly matters."""
    digest = hashlib.sha256(" ".join(_OPTIONS).encode())
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(place: Path) -> None:
    clang = shutil.which("clang", path=os.environ.get("PATH", "") + ":/usr/bin")
    if clang is None or not Path("/usr/include/bpf/bpf_helpers.h").exists():
        raise CannotCompile("its program has to be compiled: run `apt-get install clang libbpf-dev`")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        made = Path(folder, "lvs.o")
        command = [clang, *_OPTIONS, *_includes(), "-c", str(SOURCE / "lvs.c"), "-o", str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise CannotCompile(f"clang did not compile its program within {_PATIENCE} s") from None
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[0]
            raise CannotCompile(f"clang does not compile its program ({reason})")
        made.rename(place)


def _includes() -> list[str]:
    """Where the distribution has asm/types.h: by architecture."""
    machine = sysconfig.get_config_var("MULTIARCH")
    return [f"-I/usr/include/{machine}"] if machine else []
