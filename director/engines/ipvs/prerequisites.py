"""Whether this machine can run kernel IPVS; the check changes nothing, but may load its modules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from director.engines.engine import EngineError, is_initial_root

MODULES = ("ip_vs", "ip_vs_ftp")
_TABLE = Path("/proc/net/ip_vs")
_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def require() -> None:
    """Raises EngineError, whose text says what is missing."""
    if os.geteuid():
        raise EngineError("The engine ipvs needs root: the kernel lets no other user change its rules.")
    if not is_initial_root():
        raise EngineError("The engine ipvs needs root outside of user namespaces: run the lab with sudo.")
    if program() is None:
        raise EngineError("The engine ipvs needs ipvsadm: run `apt-get install ipvsadm`.")
    _load_modules()
    if not _TABLE.exists():
        raise EngineError(
            "This kernel has no IPVS (module ip_vs): `./inv vm lab-nat --engine ipvs` boots one that has it."
        )


def program() -> str | None:
    """The real ipvsadm; director/bin/ipvsadm may come first in PATH."""
    return shutil.which("ipvsadm", path=_PATH)


def _load_modules() -> None:
    modprobe = shutil.which("modprobe", path=_PATH)
    if modprobe:
        for name in MODULES:
            subprocess.run([modprobe, "--quiet", name], capture_output=True, timeout=60, check=False)
