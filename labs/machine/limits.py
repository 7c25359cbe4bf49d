"""What a caller's shell limits (ulimit, umask): lifted where that may be, refused where it is too little."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from labs.errors import Unable

_MB = 2**20
# bash's letter: the limit, the least that a lab can do with, and what it gets where it may.
_LIMITS = {
    "f": (resource.RLIMIT_FSIZE, 64 * _MB, 2**40),
    "v": (resource.RLIMIT_AS, 2048 * _MB, 2**46),
    "d": (resource.RLIMIT_DATA, 1024 * _MB, 2**46),
    "s": (resource.RLIMIT_STACK, _MB, 8 * _MB),
    "t": (resource.RLIMIT_CPU, 120, 2**30),
    "n": (resource.RLIMIT_NOFILE, 256, 4096),
}
_OTHERS = 0o077  # of a umask: what it keeps from others; nobody is helped by files that are closed to himself


def lift() -> None:
    """For this process and all that it starts."""
    os.umask(os.umask(_OTHERS) & _OTHERS)
    for limit, _, wanted in _LIMITS.values():
        soft, hard = resource.getrlimit(limit)
        if _reaches(soft, wanted):
            continue
        for new in ((wanted, hard if _reaches(hard, wanted) else wanted), (hard, hard)):
            with suppress(OSError, ValueError):
                resource.setrlimit(limit, new)
                break


def require() -> None:
    """Raises Unable where too little is left for a lab."""
    for letter, (limit, least, _) in _LIMITS.items():
        if not _reaches(resource.getrlimit(limit)[0], least):
            raise Unable(
                f"The limit that `ulimit -{letter}` shows is too low for a lab: raise it, or use a new shell."
            )


def _reaches(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
