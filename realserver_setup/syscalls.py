"""System calls that Python lacks, by the C library: mount, prctl, and before 3.12 setns and unshare."""

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
    """Move this thread into the network namespace of a file as /proc/1/ns/net (setns(2)). Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(libc.setns(descriptor, _CLONE_NEWNET), "setns")
    finally:
        os.close(descriptor)


def enter_host(pid: int) -> None:
    """Move this single-threaded process into the network and mount namespaces of process `pid`.

    `mnexec -a` does the same. Raises OSError.
    """
    folder = os.getcwd()
    descriptors = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("net", "mnt")]
    for descriptor in descriptors:
        check(libc.setns(descriptor, 0), "setns")
        os.close(descriptor)
    os.chdir(folder)


def die_with_parent(parent: int) -> None:
    """Make the kernel kill this process when its parent `parent` ends (prctl(2)). Raises OSError."""
    check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
    if os.getppid() != parent:  # the parent ended before prctl
        os._exit(1)


def check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18


def unshare(flags: int) -> None:
    """Move this process, or its future children, into new namespaces (unshare(2)). Raises OSError."""
    check(libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, options: str = "") -> None:
    """Mount a file system (mount(2)). Raises OSError."""
    check(libc.mount(source.encode(), target.encode(), kind.encode(), 0, options.encode()), f"mount {target}")


def make_mounts_private() -> None:
    """Make later mounts invisible outside this mount namespace (MS_PRIVATE). Raises OSError."""
    check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount /")
