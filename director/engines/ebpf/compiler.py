"""Makes an object file of the program, with the distribution's clang, and keeps it for the next time."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "program"
_OPTIONS = ("-O2", "-g", "-Wall", "-Werror", "-target", "bpf", "-mcpu=v3")
_PATIENCE = 300  # seconds; an emulated machine is slow


class CannotCompile(Exception):
    """What is missing and what to do, without a full stop."""


def compiled() -> Path:
    """The object file. Raises CannotCompile."""
    place = _cache() / f"ebpf-{_fingerprint()}.o"
    if not place.exists():
        _compile(place)
    return place


def _cache() -> Path:
    told = os.environ.get("LVS_CACHE")
    return (
        Path(told) if told else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lvs-lab"
    )


def _fingerprint() -> str:
    """The same for the same program: what it is compiled with hardly matters."""
    digest = hashlib.sha256()
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
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[0]
            raise CannotCompile(f"clang does not compile its program ({reason})")
        made.rename(place)


def _includes() -> list[str]:
    """Where the distribution has asm/types.h: by architecture."""
    machine = sysconfig.get_config_var("MULTIARCH")
    return [f"-I/usr/include/{machine}"] if machine else []
