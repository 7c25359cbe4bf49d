"""TUN and TAP devices: network interfaces whose other end is a file descriptor here (linux/if_tun.h)."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct

from director.engines.engine import EngineError

TUN, TAP = 0x0001, 0x0002  # IP packets; Ethernet frames
_TUNSETIFF, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x400454CA, 0x8913, 0x8914  # linux/if_tun.h, sockios.h
_IFF_NO_PI, _IFF_UP = 0x1000, 0x1
_NAMES = {TUN: "TUN", TAP: "TAP"}
_CLONE = "/dev/net/tun"


def create(name: str, kind: int, flags: int = 0) -> int:
    """A device that exists while the returned descriptor is open; `flags` of open(2). Raises OSError."""
    descriptor = os.open(_CLONE, os.O_RDWR | os.O_CLOEXEC | flags)
    try:
        _attach(descriptor, name, kind)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def open_up(name: str, kind: int = TUN) -> int:
    """The same for a director: non-blocking, and up. Raises EngineError."""
    try:
        descriptor = os.open(_CLONE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO)
        remedy = "try `modprobe tun`" if missing else "give this user access to it (udev sets the mode 0666)"
        raise EngineError(f"{_CLONE} can't be opened ({error.strerror}): {remedy}.") from None
    try:
        _attach(descriptor, name, kind)
        _set_up(name)
    except OSError as error:
        os.close(descriptor)
        remedy = (
            "the director needs the capability CAP_NET_ADMIN, or root"
            if error.errno == errno.EPERM
            else "only one director can run on a host"
        )
        raise EngineError(
            f"The {_NAMES[kind]} device {name} can't be created ({error.strerror}): {remedy}."
        ) from None
    return descriptor


def _attach(descriptor: int, name: str, kind: int) -> None:
    """Raises OSError."""
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | _IFF_NO_PI))


def _set_up(name: str) -> None:
    """Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH22x", name.encode(), 0)
        flags = struct.unpack_from("H", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags | _IFF_UP))
