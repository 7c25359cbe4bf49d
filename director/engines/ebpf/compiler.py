"""Compiles the program to an object file with the distribution's clang, and caches it."""

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
_TIMEOUT = 300  # seconds; an emulated machine is slow
_HEADER = Path("/usr/include/bpf/bpf_helpers.h")
_MAX_CACHED = 8  # object files: of other checkouts, and of earlier versions


class CannotCompile(Exception):
    """The text says what is missing and what to do, without a full stop."""


def compiled(family: int) -> Path:
    """The object file for one version of IP. Raises CannotCompile."""
    path = _cache() / f"ebpf-{_fingerprint(family)}.o"
    try:
        if not path.exists():
            _compile(path, family)
            _prune(path.parent)
    except OSError as error:
        raise CannotCompile(
            f"its program can't be saved in {path.parent} ({error.strerror}): set LVS_CACHE to another folder"
        ) from None
    with suppress(OSError):  # another user's folder
        path.touch()
    return path


def _cache() -> Path:
    own = os.environ.get("LVS_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lvs-lab"


def _options(family: int) -> tuple[str, ...]:
    return (*_OPTIONS, f"-DFAMILY={family}")


def _fingerprint(family: int) -> str:
    """A hash of sources and options; the version of the compiler hardly matters."""
    digest = hashlib.sha256(" ".join(_options(family)).encode())
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _compile(path: Path, family: int) -> None:
    clang = shutil.which("clang", path=os.environ.get("PATH", "") + ":/usr/bin")
    if clang is None or not _HEADER.exists():
        raise CannotCompile("its program must be compiled: run `apt-get install clang libbpf-dev`")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        compiled_file = Path(folder, "lvs.o")
        command = [
            clang,
            *_options(family),
            *_includes(),
            "-c",
            str(SOURCE / "lvs.c"),
            "-o",
            str(compiled_file),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        except subprocess.TimeoutExpired:
            raise CannotCompile(f"clang took more than {_TIMEOUT} s for its program: try again") from None
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[0]
            raise CannotCompile(f"clang can't compile its program ({reason})")
        compiled_file.rename(path)


def _prune(cache: Path) -> None:
    """Keep the most recently used object files."""
    objects = sorted(cache.glob("ebpf-*.o"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in objects[_MAX_CACHED:]:
        path.unlink(missing_ok=True)


def _includes() -> list[str]:
    """The option for the architecture's folder, which has asm/types.h."""
    architecture = sysconfig.get_config_var("MULTIARCH")
    return [f"-I/usr/include/{architecture}"] if architecture else []
