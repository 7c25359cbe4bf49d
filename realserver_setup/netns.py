"""Two kernel calls: join another process's network namespace, and end when the parent ends.

Python has os.setns from 3.12 on and no prctl at all; before, and for that, the C library is
called. Policy is elsewhere.
"""

from __future__ import annotations

import ctypes
import os
import signal

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

libc = ctypes.CDLL(None, use_errno=True)


def join(pid: int) -> None:
    """Move this thread into the network namespace of process `pid`. Raises OSError."""
    enter(f"/proc/{pid}/ns/net")


def enter(path: str) -> None:
    """Move this thread into the network namespace that a file stands for (setns(2)). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(libc.setns(descriptor, _CLONE_NEWNET), "setns")
    finally:
        os.close(descriptor)


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent `parent` ends (prctl(2)). Raises OSError."""
    check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:  # it was gone before the line above
        os._exit(1)


def check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
