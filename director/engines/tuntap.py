"""TUN and TAP devices: network interfaces whose other end is a descriptor of ours (linux/if_tun.h)."""

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
_KINDS = {TUN: "TUN", TAP: "TAP"}


def make(name: str, kind: int) -> int:
    """A device that is up, and exists as long as the returned descriptor is open. Raises EngineError."""
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO)
        needed = "try `modprobe tun`" if missing else "this user has to be let (mode 0666, as by udev)"
        raise EngineError(f"/dev/net/tun can't be opened ({error.strerror}): {needed}.") from None
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | _IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            request = struct.pack("16sH22x", name.encode(), 0)
            flags = struct.unpack_from("H", fcntl.ioctl(asker, _SIOCGIFFLAGS, request), 16)[0]
            fcntl.ioctl(asker, _SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), flags | _IFF_UP))
    except OSError as error:
        os.close(descriptor)
        needed = (
            "the director needs the capability CAP_NET_ADMIN, or root"
            if error.errno == errno.EPERM
            else "there can be no other director on this host"
        )
        raise EngineError(
            f"The {_KINDS[kind]} device {name} can't be made ({error.strerror}): {needed}."
        ) from None
    return descriptor
