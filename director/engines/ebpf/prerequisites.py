"""Whether this machine can compile and load the program; the check changes nothing but the cache."""

from __future__ import annotations

import os
import platform
import re

from director.engines.ebpf import compiler
from director.engines.ebpf.libbpf import BpfError, library
from director.engines.engine import EngineError, is_initial_root

FAMILIES = (4, 6)
_OLDEST = (6, 1)  # from here on, programs of type `syscall` may use maps that are not preallocated
_INSTEAD = "or leave out --engine ebpf: the scapy engine needs none of this."


def require() -> None:
    """Raises EngineError, which says what is missing, and that another engine needs none of it."""
    if os.geteuid() or not is_initial_root():
        raise EngineError(f"The ebpf engine needs root, for the kernel's bpf(): run it with sudo, {_INSTEAD}")
    if not _is_new_enough(platform.release()):
        needed = f"Linux {'.'.join(map(str, _OLDEST))} or later; this is {platform.release()}"
        raise EngineError(f"The ebpf engine needs {needed}: boot a newer kernel, {_INSTEAD}")
    try:
        library()
    except BpfError as missing:
        raise EngineError(
            f"The ebpf engine can't run ({missing}): run `apt-get install clang libbpf-dev`, {_INSTEAD}"
        ) from None
    try:
        for family in FAMILIES:
            compiler.compiled(family)
    except compiler.CannotCompile as error:
        raise EngineError(f"The ebpf engine can't run: {error}, {_INSTEAD}") from None


def _is_new_enough(release: str) -> bool:
    """`6.1.0-56-amd64`, or as a kernel of one's own may be called, such as `6.12+`."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return numbers is not None and tuple(map(int, numbers.groups())) >= _OLDEST
