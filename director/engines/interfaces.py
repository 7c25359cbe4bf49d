"""What the kernel knows of the director's network interfaces."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

from director.core.errors import BadValue

_SIOCGIFADDR, _SIOCGIFMTU, _SIOCGIFHWADDR = 0x8915, 0x8921, 0x8927  # linux/sockios.h
_LONGEST = 15  # bytes of an interface's name
_DISCARD = 9  # a port; nothing is sent to it


def with_an_address() -> list[str]:
    """All interfaces but lo that have an IPv4 address."""
    return [name for _, name in socket.if_nameindex() if name != "lo" and address_of(name)]


def address_of(interface: str) -> str | None:
    """The first IPv4 address of an interface; None if it has none."""
    answer = _ask(interface, _SIOCGIFADDR)
    return socket.inet_ntoa(answer[20:24]) if answer else None


def index_of(interface: str) -> int | None:
    """Its number, which no other interface of this machine ever gets again; None if there is none."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def is_local(address: str) -> bool:
    """Whether this machine takes packets to `address` for itself: only then can a socket have it.

    Raises BadValue for the broadcast address of one of its networks, which a socket can have as well.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            asker.bind((address, 0))
        except OSError:
            return False
        if asker.connect_ex((address, _DISCARD)) == errno.EACCES:  # it takes SO_BROADCAST (ip(7))
            raise BadValue("address", "that of one host", address)
    return True


def mac_of(interface: str) -> bytes | None:
    """Its hardware address, six bytes; None if there is no such interface."""
    answer = _ask(interface, _SIOCGIFHWADDR)
    return answer[18:24] if answer else None


def mtu_of(interface: str) -> int | None:
    """The longest IP packet that it takes, in bytes; None if there is no such interface."""
    answer = _ask(interface, _SIOCGIFMTU)
    return int(struct.unpack_from("i", answer, 16)[0]) if answer else None


def _ask(interface: str, request: int) -> bytes:
    """The kernel's answer (netdevice(7)); empty where it has none."""
    name = interface.encode()
    if len(name) > _LONGEST:
        return b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            return fcntl.ioctl(asker, request, struct.pack("256s", name))
        except OSError:
            return b""
