"""Interfaces and addresses of this machine (netdevice(7))."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from pathlib import Path

from director.core.errors import BadValue
from director.core.family import IPV4, family_of
from director.engines.engine import EngineError

_SIOCGIFADDR, _SIOCGIFMTU, _SIOCGIFHWADDR = 0x8915, 0x8921, 0x8927  # linux/sockios.h
_IFNAMSIZ = 16  # bytes of an interface's name, with the zero at its end
_IF_INET6, _GLOBAL = Path("/proc/net/if_inet6"), "00"  # a row's address, index, prefix, scope, flags, name
_DISCARD = 9  # a port; nothing is sent to it


def with_an_address() -> list[str]:
    """All interfaces but lo that have an address; a link-local one, which all have, does not count."""
    with_ipv6 = _with_an_ipv6_address()
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    return [name for name in names if name in with_ipv6 or address_of(name)]


def _with_an_ipv6_address() -> set[str]:
    """The interfaces with a global IPv6 address."""
    try:
        rows = [row.split() for row in _IF_INET6.read_text().splitlines()]
    except OSError:  # the kernel has no IPv6
        return set()
    return {row[-1] for row in rows if row[3] == _GLOBAL}


def require(interface: str) -> bytes:
    """The MAC address of an interface, six bytes. Raises EngineError if there is no such interface."""
    mac = mac_of(interface)
    if mac is None:
        raise EngineError(f"There is no network interface {interface!r}: see `ip link`.")
    return mac


def address_of(interface: str) -> str | None:
    """The first IPv4 address of an interface; None if it has none."""
    reply = _ioctl(interface, _SIOCGIFADDR)
    return socket.inet_ntoa(reply[20:24]) if reply else None


def mac_of(interface: str) -> bytes | None:
    """The MAC address of an interface, six bytes; None if there is no such interface."""
    reply = _ioctl(interface, _SIOCGIFHWADDR)
    return reply[18:24] if reply else None


def mtu_of(interface: str) -> int | None:
    """The MTU of an interface in bytes; None if there is no such interface."""
    reply = _ioctl(interface, _SIOCGIFMTU)
    return int(struct.unpack_from("i", reply, 16)[0]) if reply else None


def index_of(interface: str) -> int | None:
    """The interface index, which the kernel never reuses; None if there is no such interface."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return None


def _ioctl(interface: str, request: int) -> bytes:
    """A struct ifreq; empty if the kernel refuses."""
    name = interface.encode()
    if len(name) >= _IFNAMSIZ:
        return b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            return fcntl.ioctl(any_socket, request, struct.pack("256s", name))
        except OSError:
            return b""


def is_local(address: str) -> bool:
    """Whether packets to `address` are for this machine: only then can a socket be bound to it.

    Raises BadValue for the broadcast address of one of its networks, to which a socket can be bound as well,
    and EngineError if there is no descriptor left to ask with.
    """
    family = family_of(address)
    try:
        probe = socket.socket(family.address_family, socket.SOCK_DGRAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:  # the kernel has no IPv6
            return False
        raise EngineError(f"Can't find out whether {address} is local ({error.strerror}).") from None
    with probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        if (
            family is IPV4 and probe.connect_ex((address, _DISCARD)) == errno.EACCES
        ):  # it requires SO_BROADCAST (ip(7))
            raise BadValue("address", "the address of one host", address)
    return True
