"""Notifications of the kernel about links, neighbours, addresses and routes (rtnetlink(7))."""

from __future__ import annotations

import contextlib
import socket

LINKS, NEIGHBOURS, ADDRESSES, ROUTES = 0x01, 0x04, 0x10, 0x40  # linux/rtnetlink.h; the last two of IPv4
_LARGEST = 65536  # bytes of a message


class Monitor:
    """Only signals that something has changed; readers reload everything."""

    def __init__(self, groups: int) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, groups))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable once there are notifications."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Discard all notifications."""
        with contextlib.suppress(OSError):  # all are read, or there were more than the socket could hold
            while self._socket.recv(_LARGEST):
                pass

    def close(self) -> None:
        self._socket.close()
