"""The few kernel calls that Python has no name for, or has only from 3.12 on.

Thin and without policy: what to unshare or mount is decided elsewhere. Two more are in
realserver_setup/netns.py.
"""

from __future__ import annotations

from realserver_setup.netns import check, libc

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18


def unshare(flags: int) -> None:
    """Move this process, or its future children, into new namespaces (unshare(2))."""
    check(libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, options: str = "") -> None:
    """Mount a file system (mount(2))."""
    check(libc.mount(source.encode(), target.encode(), kind.encode(), 0, options.encode()), f"mount {target}")


def make_mounts_private() -> None:
    """Keep every later mount of this mount namespace to itself."""
    check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount /")
