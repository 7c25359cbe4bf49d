"""Interfaces and addresses of this machine (netdevice(7)), routes, and when these change (rtnetlink(7))."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from sys import byteorder
from typing import NamedTuple

from director.core.errors import BadValue
from director.core.family import IPV4, Family, family_of
from director.engines.engine import EngineError

_SIOCGIFADDR, _SIOCGIFMTU, _SIOCGIFHWADDR = 0x8915, 0x8921, 0x8927  # linux/sockios.h
_IFNAMSIZ = 16  # bytes of an interface's name, with the zero at its end
_IF_INET6, _GLOBAL = Path("/proc/net/if_inet6"), "00"  # a row's address, index, prefix, scope, flags, name
_DISCARD = 9  # a port; nothing is sent to it
LINKS, NEIGHBOURS, ADDRESSES, ROUTES = 0x01, 0x04, 0x110, 0x440  # linux/rtnetlink.h; of IPv4 and IPv6
_LARGEST = 65536  # bytes of a netlink message
_MAC = 6  # bytes
_NLM_F_REQUEST, _NLM_F_DUMP, _NLMSG_DONE, _NLMSG_ERROR = 1, 0x300, 3, 2
_RTM_NEWROUTE, _RTM_GETROUTE, _RTM_NEWNEIGH, _RTM_GETNEIGH = 24, 26, 28, 30
_NDA_DST, _NDA_LLADDR = 1, 2  # linux/neighbour.h
_VALID_MAC = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80  # NUD states in which the MAC address is known
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PREFSRC = 1, 4, 5, 7
_RTA_PRIORITY, _RTA_TABLE, _MAIN = 6, 15, 254
_RTN_UNICAST, _RTNH_F_DEAD = 1, 1
_NLMSGHDR, _RTMSG, _RTATTR = struct.Struct("IHHII"), struct.Struct("8BI"), struct.Struct("HH")
_NDMSG = struct.Struct("B3xiHBB")  # family, interface index, state, flags, type
_ANSWER_TIMEOUT, _ROUTE_SIZE = 1.0, 4096  # seconds; bytes, more than the answer has


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
    """Whether this machine takes packets to `address` for itself: only then can a socket be bound to it.

    Raises BadValue for the broadcast address of one of its networks, to which a socket can be bound as well,
    and EngineError where no descriptor is left to ask.
    """
    family = family_of(address)
    try:
        probe = socket.socket(family.address_family, socket.SOCK_DGRAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:  # the kernel has no IPv6
            return False
        raise EngineError(f"The kernel can't say whether {address} is local ({error.strerror}).") from None
    with probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        if (
            family is IPV4 and probe.connect_ex((address, _DISCARD)) == errno.EACCES
        ):  # it takes SO_BROADCAST (ip(7))
            raise BadValue("address", "the address of one host", address)
    return True


class RouteQuery:
    """Asks the kernel by which route it would send to an address, as `ip route get` does."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_ANSWER_TIMEOUT)

    def __call__(self, address: str) -> dict[int, bytes]:
        """The attributes of the route by their numbers; empty if none leads there."""
        family = family_of(address)
        packed = socket.inet_pton(family.address_family, address)
        attribute = _RTATTR.pack(_RTATTR.size + len(packed), RTA_DST) + packed
        body = _RTMSG.pack(family.address_family, family.bits, *[0] * 7) + attribute
        header = _NLMSGHDR.pack(_NLMSGHDR.size + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, 0, 0)
        try:
            self._socket.send(header + body)
            answer = self._socket.recv(_ROUTE_SIZE)
        except OSError:
            return {}
        if _NLMSGHDR.unpack_from(answer)[1] != _RTM_NEWROUTE:
            return {}
        return _attributes(answer, _NLMSGHDR.size + _RTMSG.size)

    def close(self) -> None:
        self._socket.close()


def _attributes(message: bytes, at: int) -> dict[int, bytes]:
    """The attributes of a netlink message by their numbers; the first is at `at`."""
    found: dict[int, bytes] = {}
    while at + _RTATTR.size <= len(message):
        length, kind = _RTATTR.unpack_from(message, at)
        found[kind] = message[at + _RTATTR.size : at + length]
        at += _aligned(max(length, _RTATTR.size))
    return found


def _aligned(length: int) -> int:
    """Messages and attributes begin at a multiple of 4 bytes."""
    return (length + 3) & ~3


def neighbours(family: Family) -> Iterator[tuple[int, bytes, bytes]]:
    """The neighbours whose MAC address the kernel knows: interface index, address and MAC address.

    Raises OSError.
    """
    for message in _dump(_RTM_GETNEIGH, _NDMSG.pack(family.address_family, 0, 0, 0, 0), _RTM_NEWNEIGH):
        yield from _known(message)


def _dump(request: int, body: bytes, wanted: int) -> Iterator[bytes]:
    """All messages of the kind `wanted` with which the kernel answers a request. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.settimeout(_ANSWER_TIMEOUT)
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        link.send(_NLMSGHDR.pack(_NLMSGHDR.size + len(body), request, flags, 0, 0) + body)
        kind = wanted
        while kind not in (_NLMSG_DONE, _NLMSG_ERROR):
            answer, at = link.recv(_LARGEST), 0
            while at + _NLMSGHDR.size <= len(answer):
                length, kind, *_ = _NLMSGHDR.unpack_from(answer, at)
                if kind == wanted:
                    yield answer[at : at + length]
                at += _aligned(max(length, _NLMSGHDR.size))


def _known(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    _, index, state, _, _ = _NDMSG.unpack_from(message, _NLMSGHDR.size)
    found = _attributes(message, _NLMSGHDR.size + _NDMSG.size)
    if state & _VALID_MAC and len(found.get(_NDA_LLADDR, b"")) == _MAC:
        yield index, found[_NDA_DST], found[_NDA_LLADDR]


class Route(NamedTuple):
    """A route of the kernel's main table.

    `network` are the bytes of its address, and those of `gateway` are all zero where there is none. The
    interface index is 0 where the route names no single next hop: it rejects packets, or has several.
    """

    length: int
    network: bytes
    ifindex: int
    gateway: bytes
    metric: int


def routes(family: Family) -> Iterator[Route]:
    """The kernel's main routing table. Raises OSError."""
    size = family.bits // 8
    for message in _dump(_RTM_GETROUTE, _RTMSG.pack(family.address_family, *[0] * 8), _RTM_NEWROUTE):
        _, length, source_length, tos, table, _, _, kind, flags = _RTMSG.unpack_from(message, _NLMSGHDR.size)
        found = _attributes(message, _NLMSGHDR.size + _RTMSG.size)
        table = _number(found.get(_RTA_TABLE)) or table
        if table == _MAIN and not (source_length or tos or flags & _RTNH_F_DEAD):
            yield Route(
                length,
                found.get(RTA_DST, bytes(size)),
                _number(found.get(RTA_OIF)) if kind == _RTN_UNICAST else 0,
                found.get(RTA_GATEWAY, bytes(size)),
                _number(found.get(_RTA_PRIORITY)),
            )


def _number(attribute: bytes | None) -> int:
    return int.from_bytes(attribute or b"", byteorder)


class Monitor:
    """Notifications about links, neighbours, addresses or routes.

    They only signal that something has changed; readers reload everything.
    """

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
