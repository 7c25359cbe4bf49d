"""Routes, neighbours and addresses of this machine, and when these change (rtnetlink(7))."""

from __future__ import annotations

import errno
import socket
import struct
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from sys import byteorder
from typing import NamedTuple

from director.core.family import IPV4, Family, family_of

# linux/netlink.h, linux/rtnetlink.h
LINKS, NEIGHBOURS, ADDRESSES, ROUTES, RULES = 0x01, 0x04, 0x110, 0x440, 0x40080  # groups, of IPv4 and IPv6
_NLM_F_REQUEST, _NLM_F_DUMP, _NLMSG_DONE, _NLMSG_ERROR = 1, 0x300, 3, 2
_NLMSGHDR, _RTATTR = struct.Struct("IHHII"), struct.Struct("HH")
_LARGEST, _LAST_SEQUENCE = 65536, 2**32 - 1  # bytes of a netlink message; number of one
_ANSWER_TIMEOUT, _ANSWER_SIZE = 1.0, 4096  # seconds; bytes, more than one message has

_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_IFADDRMSG = struct.Struct("4BI")  # family, prefix length, flags, scope, interface index
_IFA_LOCAL = 2  # linux/if_addr.h

_RTM_NEWROUTE, _RTM_GETROUTE = 24, 26
_RTMSG = struct.Struct("8BI")  # family, lengths of destination and source, TOS, table, ..., flags
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_METRICS = 1, 4, 5, 6, 7, 8
_RTA_CACHEINFO, _RTA_TABLE, _RTA_VIA = 12, 15, 18  # the last one is a gateway of another family
_RTAX_MTU = 2  # among the metrics
_EXPIRES = 8  # offset in the cache information: when a path MTU that the kernel has learnt expires
_DEFAULT, _MAIN, _LOCAL = 253, 254, 255  # tables
_RTN_UNICAST, _RTNH_F_DEAD = 1, 1

_RTM_NEWNEIGH, _RTM_GETNEIGH = 28, 30
_NDMSG = struct.Struct("B3xiHBB")  # family, interface index, state, flags, type
_NDA_DST, _NDA_LLADDR = 1, 2  # linux/neighbour.h
_NUD_PERMANENT = 0x80
_VALID_MAC = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | _NUD_PERMANENT  # states in which the MAC address is known
_MAC = 6  # bytes

_RTM_NEWRULE, _RTM_GETRULE = 32, 34  # with the header of a route
_FRA_PRIORITY, _FRA_SUPPRESS, _FRA_TABLE, _FRA_PROTOCOL = 6, 14, 15, 21  # linux/fib_rules.h
_FRA_OF_EVERY_RULE = {_FRA_PRIORITY, _FRA_SUPPRESS, _FRA_TABLE, _FRA_PROTOCOL}
_FR_ACT_TO_TBL, _NOTHING = 1, b"\xff" * 4  # a suppressed prefix length of -1: none
_RULES_OF_EVERY_HOST = {(0, _LOCAL), (32766, _MAIN)}  # priority and table
_RULE_OF_DEFAULT = 32767, _DEFAULT  # of IPv4; the table is empty


# ---- messages ----


def _dump(request: int, body: bytes, wanted: int) -> Iterator[bytes]:
    """All messages of the kind `wanted` in the kernel's answer to a request. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.settimeout(_ANSWER_TIMEOUT)
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        link.send(_NLMSGHDR.pack(_NLMSGHDR.size + len(body), request, flags, 0, 0) + body)
        kind = wanted
        while kind not in (_NLMSG_DONE, _NLMSG_ERROR):
            for message in _messages(link.recv(_LARGEST)):
                kind = _kind_of(message)
                if kind == wanted:
                    yield message


def _messages(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + _NLMSGHDR.size <= len(data):
        length = int(_NLMSGHDR.unpack_from(data, at)[0])
        yield data[at : at + length]
        at += _aligned(max(length, _NLMSGHDR.size))


def _kind_of(message: bytes) -> int:
    return int(_NLMSGHDR.unpack_from(message)[1])


def _sequence_of(message: bytes) -> int:
    return int(_NLMSGHDR.unpack_from(message)[3])


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


def _number(attribute: bytes | None) -> int:
    return int.from_bytes(attribute or b"", byteorder)


class _Query:
    """Requests to the kernel whose answer is one message."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_ANSWER_TIMEOUT)
        self._sequence = 0

    def _ask(self, request: int, body: bytes, kind: int, address: bytes, wanted: int) -> bytes:
        """The answer to a request about an address, which is an attribute of this kind; empty if refused."""
        body += _RTATTR.pack(_RTATTR.size + len(address), kind) + address
        self._sequence = self._sequence + 1 & _LAST_SEQUENCE
        length = _NLMSGHDR.size + len(body)
        header = _NLMSGHDR.pack(length, request, _NLM_F_REQUEST, self._sequence, 0)
        try:
            self._socket.send(header + body)
            answer = self._socket.recv(_ANSWER_SIZE)
            while _sequence_of(answer) != self._sequence:  # the answer to a request that was given up
                answer = self._socket.recv(_ANSWER_SIZE)
        except OSError:
            return b""
        return answer if _kind_of(answer) == wanted else b""

    def close(self) -> None:
        self._socket.close()


# ---- neighbours ----


def neighbours(family: Family) -> Iterator[tuple[int, bytes, bytes]]:
    """The neighbours whose MAC address the kernel knows: interface index, address and MAC address.

    Raises OSError.
    """
    for message in _dump(_RTM_GETNEIGH, _NDMSG.pack(family.address_family, 0, 0, 0, 0), _RTM_NEWNEIGH):
        yield from _known(message)


def _known(message: bytes, states: int = _VALID_MAC) -> Iterator[tuple[int, bytes, bytes]]:
    _, index, state, _, _ = _NDMSG.unpack_from(message, _NLMSGHDR.size)
    found = _attributes(message, _NLMSGHDR.size + _NDMSG.size)
    if state & states and len(found.get(_NDA_LLADDR, b"")) == _MAC:
        yield index, found[_NDA_DST], found[_NDA_LLADDR]


class NeighbourQuery(_Query):
    """Asks for a neighbour's MAC address if an administrator has set it (ip-neighbour(8): permanent)."""

    def __call__(self, ifindex: int, address: str) -> str:
        """The MAC address; empty if none was set."""
        family = family_of(address)
        packed = socket.inet_pton(family.address_family, address)
        body = _NDMSG.pack(family.address_family, ifindex, 0, 0, 0)
        answer = self._ask(_RTM_GETNEIGH, body, _NDA_DST, packed, _RTM_NEWNEIGH)
        return next((mac.hex(":") for _, _, mac in _known(answer, _NUD_PERMANENT)), "") if answer else ""


# ---- routes ----


class FoundRoute(NamedTuple):
    """How the kernel would send to an address; `ifindex` is 0 if it would not.

    Without a gateway, `gateway` is empty, and `source` is if the route has none. `mtu` is 0 unless an
    administrator has given the route one.
    """

    ifindex: int = 0
    source: bytes = b""
    gateway: bytes = b""
    mtu: int = 0


class RouteQuery(_Query):
    """Asks the kernel by which route it would send to an address, as `ip route get` does."""

    def __call__(self, address: str) -> FoundRoute:
        family = family_of(address)
        packed = socket.inet_pton(family.address_family, address)
        body = _RTMSG.pack(family.address_family, family.bits, *[0] * 7)
        answer = self._ask(_RTM_GETROUTE, body, _RTA_DST, packed, _RTM_NEWROUTE)
        if not answer:
            return FoundRoute()
        found = _attributes(answer, _NLMSGHDR.size + _RTMSG.size)
        return FoundRoute(
            0 if _RTA_VIA in found else _number(found.get(_RTA_OIF)),
            found.get(_RTA_PREFSRC, b""),
            found.get(_RTA_GATEWAY, b""),
            _mtu(found),
        )


class Route(NamedTuple):
    """A route of the kernel's main table.

    `network` are the bytes of its address, and those of `gateway` are all zero without a gateway. The
    interface index is 0 if the route names no single next hop: it rejects packets, or has several. `mtu`
    is 0 unless an administrator has given the route one.
    """

    length: int
    network: bytes
    ifindex: int
    gateway: bytes
    metric: int
    mtu: int = 0


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
                found.get(_RTA_DST, bytes(size)),
                _number(found.get(_RTA_OIF)) if kind == _RTN_UNICAST and _RTA_VIA not in found else 0,
                found.get(_RTA_GATEWAY, bytes(size)),
                _number(found.get(_RTA_PRIORITY)),
                _mtu(found),
            )


def _mtu(route: dict[int, bytes]) -> int:
    """The MTU of the route; 0 for one that the kernel has learnt, which expires without a notification."""
    if any(route.get(_RTA_CACHEINFO, b"")[_EXPIRES : _EXPIRES + 4]):
        return 0
    return _number(_attributes(route.get(_RTA_METRICS, b""), 0).get(_RTAX_MTU))


def has_routing_policy(family: Family) -> bool:
    """Whether the rules differ from every host's: then the main table alone does not decide.

    Raises OSError.
    """
    body = _RTMSG.pack(family.address_family, *[0] * 8)
    rules = {_rule(message) for message in _dump(_RTM_GETRULE, body, _RTM_NEWRULE)}
    return bool(rules) and rules | {_RULE_OF_DEFAULT} != {*_RULES_OF_EVERY_HOST, _RULE_OF_DEFAULT}


def _rule(message: bytes) -> tuple[int, int] | None:
    """The priority and table of a rule; None if not every packet follows it."""
    _, *selectors, table, _, _, action, flags = _RTMSG.unpack_from(message, _NLMSGHDR.size)
    found = _attributes(message, _NLMSGHDR.size + _RTMSG.size)
    for_all = not (any(selectors) or flags or found.keys() - _FRA_OF_EVERY_RULE)
    if for_all and action == _FR_ACT_TO_TBL and found.get(_FRA_SUPPRESS, _NOTHING) == _NOTHING:
        return _number(found.get(_FRA_PRIORITY)), table
    return None


# ---- changes, and addresses ----


class Monitor:
    """Notifications about links, neighbours, addresses, routes or their rules.

    Mostly they only signal that something has changed, and readers reload everything.
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
        self.read()

    def read(self) -> list[bytes] | None:
        """All notifications; None if there were more than the socket could hold."""
        messages: list[bytes] = []
        while True:
            try:
                messages += _messages(self._socket.recv(_LARGEST))
            except BlockingIOError:
                return messages
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    return messages
                self.drain()
                return None

    def close(self) -> None:
        self._socket.close()


class OwnAddresses(Collection[str]):
    """This machine's IPv4 addresses, and the broadcast addresses of its networks."""

    def __init__(self) -> None:
        self._configured: set[tuple[int, int, bytes]] = set()  # interface index, prefix length, address
        self._counts: Counter[str] = Counter()  # several interfaces may have the same address

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, address: object) -> bool:
        return address in self._counts

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def read(self) -> None:
        """Read all addresses. Raises OSError."""
        self._configured.clear()
        self._counts.clear()
        body = _IFADDRMSG.pack(socket.AF_INET, 0, 0, 0, 0)
        self.follow(_dump(_RTM_GETADDR, body, _RTM_NEWADDR))

    def follow(self, messages: Iterable[bytes]) -> None:
        """Apply notifications."""
        for message in messages:
            kind = _kind_of(message)
            if kind not in (_RTM_NEWADDR, _RTM_DELADDR):
                continue
            family, length, _, _, index = _IFADDRMSG.unpack_from(message, _NLMSGHDR.size)
            address = _attributes(message, _NLMSGHDR.size + _IFADDRMSG.size).get(_IFA_LOCAL)
            entry = index, length, address or b""
            if family == socket.AF_INET and address and (entry in self._configured) == (kind == _RTM_DELADDR):
                self._count(entry, 1 if kind == _RTM_NEWADDR else -1)

    def _count(self, entry: tuple[int, int, bytes], by: int) -> None:
        _, length, address = entry
        self._configured ^= {entry}
        found = {address}
        if length < IPV4.bits - 1:  # RFC 3021: two hosts have no broadcast address
            host_bits = (1 << IPV4.bits - length) - 1
            found.add((int.from_bytes(address, "big") | host_bits).to_bytes(len(address), "big"))
        for text in map(socket.inet_ntoa, found):
            self._counts[text] += by
            if not self._counts[text]:
                del self._counts[text]
