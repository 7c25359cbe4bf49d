"""Limits of the caller's shell (ulimit, umask): raised if allowed, refused if too low for a lab."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from labs.errors import Unable

_MB = 2**20
# bash's letter: the limit, what a lab needs at least, and what it gets if allowed.
_LIMITS = {
    "f": (resource.RLIMIT_FSIZE, 64 * _MB, 2**40),
    "v": (resource.RLIMIT_AS, 2048 * _MB, 2**46),
    "d": (resource.RLIMIT_DATA, 1024 * _MB, 2**46),
    "s": (resource.RLIMIT_STACK, _MB, 8 * _MB),
    "t": (resource.RLIMIT_CPU, 120, 2**30),
    "n": (resource.RLIMIT_NOFILE, 256, 4096),
}
_OTHERS = 0o077  # the bits of a umask for group and others; those for the owner would break a lab


def lift() -> None:
    """Raise the limits of this process and its children as far as allowed."""
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
    """Raises Unable if a limit is too low for a lab."""
    for letter, (limit, least, _) in _LIMITS.items():
        if not _reaches(resource.getrlimit(limit)[0], least):
            raise Unable(
                f"The limit that `ulimit -{letter}` shows is too low for a lab: raise it, or use a new shell."
            )


def _reaches(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
