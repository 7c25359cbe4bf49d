"""Where a packet goes next: the interface and gateway by the kernel's routes, the MAC address by asking.

Routes       next hops by destination, and the path MTUs that routers have reported
Neighbours   MAC addresses by next hop, by ARP (RFC 826) or neighbour discovery (RFC 4861); packets wait for
             the reply

A neighbour's entry is confirmed again after half a minute of use; an administrator's permanent entry in the
kernel's table is used as it is. Gratuitous ARP and unsolicited neighbour advertisements (an address has
moved) update entries but create none.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from socket import if_indextoname, inet_ntop
from typing import Any

from director.core.family import IPV4, family_of
from director.engines.rtnetlink import (
    ADDRESSES,
    LINKS,
    ROUTES,
    RULES,
    Monitor,
    NeighbourQuery,
    OwnAddresses,
    RouteQuery,
)
from director.engines.scapy import neighbour_discovery
from director.engines.scapy.headers import ARP, Ether
from director.engines.scapy.host import Route, RouteTable, Wire

_DEFAULT_MTU = 1500
_SMALLEST_MTU = {4: 68, 6: 1280}  # bytes; every router can forward this much (RFC 791, RFC 8200)
_CACHE_SIZE = 4096  # next hops, and path MTUs, that are remembered
_PMTU_LIFETIME = 600.0  # seconds (Linux: net.ipv4.route.mtu_expires)

_BROADCAST = "ff:ff:ff:ff:ff:ff"
_IPV4 = b"\x08\x00"  # EtherType
_CONFIRMED = 30.0  # seconds until an entry in use is confirmed again
_RETRY_AFTER = 1.0  # seconds between two ARP requests
_REQUESTS = 3  # unanswered requests, after which waiting packets are lost
_QUEUE_LENGTH = 128  # packets that may wait for one reply
_FORGOTTEN = 600.0  # seconds after which an unconfirmed entry is deleted
_MAX_NEIGHBOURS = 8192  # however many addresses the hosts on a link answer for


@dataclass(frozen=True, slots=True)
class NextHop:
    """How to reach a destination: over `wire`, from `source`, through `address` (itself, if on the link).

    `route_mtu` is 0 unless the route has an MTU of its own.
    """

    wire: Wire
    source: str
    address: str
    route_mtu: int = 0

    @property
    def mtu(self) -> int:
        return min(self.wire.mtu, self.route_mtu or self.wire.mtu)


class KernelRoutes:
    """The kernel's routes and permanent neighbours, which are not copied: each lookup asks the kernel."""

    def __init__(self) -> None:
        self._monitor = Monitor(LINKS | ADDRESSES | ROUTES | RULES)
        self._query, self.permanent_neighbour = RouteQuery(), NeighbourQuery()
        self.own, self._knows_all = OwnAddresses(), False

    def fileno(self) -> int:
        return self._monitor.fileno()

    def refresh(self) -> None:
        changes = self._monitor.read()
        if changes is None or not self._knows_all:
            self._knows_all = False
            self.own.read()
            self._knows_all = True
        else:
            self.own.follow(changes)

    def lookup(self, destination: str) -> Route:
        found = self._query(destination)
        family = family_of(destination)
        source, gateway = (
            inet_ntop(family.address_family, address) if address else family.unspecified
            for address in (found.source, found.gateway)
        )
        return Route(_name_of(found.ifindex), source, gateway, found.mtu)

    def close(self) -> None:
        self._monitor.close()
        self._query.close()
        self.permanent_neighbour.close()


def _name_of(index: int) -> str:
    """The interface of a route; empty if there is none."""
    try:
        return if_indextoname(index)
    except OSError:
        return ""


class Routes:
    """Next hops by destination, cached until the kernel's routes change."""

    def __init__(self, wires: Iterable[Wire], table: RouteTable) -> None:
        self._wires = {wire.interface: wire for wire in wires}
        self._table = table
        self._next_hops: dict[str, NextHop | None] = {}
        self._path_mtu: dict[str, tuple[int, float]] = {}  # and when it expires

    def fileno(self) -> int:
        """Readable once links, addresses, routes or rules have changed; `refresh` is due then."""
        return self._table.fileno()

    def refresh(self) -> None:
        """Forget the kernel's routes, and read the interfaces' addresses again. Raises OSError."""
        self._table.refresh()  # first: later changes are notified again
        self._next_hops.clear()
        for wire in self._wires.values():
            wire.refresh()

    def close(self) -> None:
        self._table.close()

    def lookup(self, destination: str) -> NextHop | None:
        """None if no route over the director's interfaces leads there."""
        if destination not in self._next_hops:
            if len(self._next_hops) >= _CACHE_SIZE:
                self._next_hops.clear()
            self._next_hops[destination] = self._look_up(destination)
        return self._next_hops[destination]

    def _look_up(self, destination: str) -> NextHop | None:
        interface, source, gateway, mtu = self._table.lookup(destination)
        wire = self._wires.get(interface)
        if wire is None:
            return None
        family = family_of(destination)
        if source == IPV4.unspecified:
            source = wire.address
        return NextHop(wire, source, destination if gateway == family.unspecified else gateway, mtu)

    @property
    def own(self) -> Collection[str]:
        """This machine's IPv4 addresses, and the broadcast addresses of its networks."""
        return self._table.own

    @property
    def found(self) -> Mapping[str, NextHop]:
        """The next hops that are cached, by destination."""
        return {destination: hop for destination, hop in self._next_hops.items() if hop is not None}

    def mtu_of(self, destination: str) -> int:
        """The path MTU to `destination` in bytes, as far as it is known."""
        hop = self.lookup(destination)
        here = hop.mtu if hop else _DEFAULT_MTU
        learnt, _ = self._path_mtu.get(destination, (here, 0.0))
        return min(here, learnt)

    @property
    def learnt(self) -> Mapping[str, int]:
        """The path MTUs that routers have reported, by destination."""
        return {destination: mtu for destination, (mtu, _) in self._path_mtu.items()}

    def learn_mtu(self, destination: str, mtu: int, now: float) -> None:
        """A router on the path to `destination` forwards at most `mtu` bytes (RFC 1191)."""
        if mtu >= _SMALLEST_MTU[family_of(destination).version] and (
            destination in self._path_mtu or len(self._path_mtu) < _CACHE_SIZE
        ):
            self._path_mtu[destination] = mtu, now + _PMTU_LIFETIME

    def tick(self, now: float) -> None:
        """Forget path MTUs that have expired."""
        for destination, (_, expires) in list(self._path_mtu.items()):
            if expires <= now:
                del self._path_mtu[destination]


class _Neighbour:
    """`header` is the Ethernet header of frames to it, empty until its MAC address is known."""

    __slots__ = ("confirmed", "header", "hop", "queue", "requested", "requests")

    def __init__(self, hop: NextHop) -> None:
        self.hop = hop
        self.header = b""
        self.requested = self.confirmed = 0.0
        self.requests = 0
        self.queue: deque[bytes] = deque(maxlen=_QUEUE_LENGTH)

    def resolve(self, mac: str, now: float) -> None:
        kind = _IPV4 if family_of(self.hop.address) is IPV4 else neighbour_discovery.ETHERTYPE
        self.header = bytes.fromhex(mac.replace(":", "")) + self.hop.wire.hardware + kind
        self.confirmed, self.requests = now, 0

    def request(self, now: float) -> None:
        """Send an ARP request, or a neighbour solicitation."""
        self.requested = now
        self.requests += 1
        wire = self.hop.wire
        if family_of(self.hop.address) is not IPV4:
            wire.send(neighbour_discovery.solicitation(self.hop.source, self.hop.address, wire.hardware))
            return
        request = ARP(op="who-has", hwsrc=wire.mac, psrc=self.hop.source, pdst=self.hop.address)
        wire.send(bytes(Ether(dst=_BROADCAST, src=wire.mac) / request))


class Neighbours:
    """The neighbour table; `lost` counts packets that could not be sent.

    `permanent` gives the MAC address that an administrator has set for an address on an interface (its
    index), or "".
    """

    def __init__(self, permanent: Callable[[int, str], str] = lambda _ifindex, _address: "") -> None:
        self._permanent = permanent
        self._entries: dict[tuple[Wire, str], _Neighbour] = {}
        self.lost = 0

    def send(self, packet: bytes, hop: NextHop, now: float) -> None:
        """Send an IP packet to a next hop, at once or when its MAC address is known."""
        neighbour = self._entries.get((hop.wire, hop.address))
        if neighbour is None:
            neighbour = self._new(hop)
            self._confirm(neighbour, now)
        if not neighbour.header:
            self._enqueue(neighbour, packet)
            return
        if not hop.wire.send(neighbour.header + packet):
            self.lost += 1
        if now - neighbour.confirmed > _CONFIRMED and now - neighbour.requested > _RETRY_AFTER:
            self._confirm(neighbour, now)

    def _confirm(self, neighbour: _Neighbour, now: float) -> None:
        hop = neighbour.hop
        mac = self._permanent(hop.wire.index or 0, hop.address)
        if mac:
            neighbour.resolve(mac, now)
        else:
            neighbour.request(now)

    def _new(self, hop: NextHop) -> _Neighbour:
        """A new entry; if there are too many, the oldest is removed."""
        if len(self._entries) >= _MAX_NEIGHBOURS:
            oldest = next((key for key, entry in self._entries.items() if entry.confirmed < math.inf), None)
            if oldest is not None:
                self.lost += len(self._entries.pop(oldest).queue)
        neighbour = self._entries[hop.wire, hop.address] = _Neighbour(hop)
        return neighbour

    def _enqueue(self, neighbour: _Neighbour, packet: bytes) -> None:
        if len(neighbour.queue) == _QUEUE_LENGTH:
            self.lost += 1  # the oldest is pushed out
        neighbour.queue.append(packet)

    def mac_of(self, hop: NextHop) -> str:
        """The MAC address of a next hop, empty until it is known."""
        neighbour = self._entries.get((hop.wire, hop.address))
        return neighbour.header[:6].hex(":") if neighbour else ""

    def received(self, wire: Wire, arp: Any, now: float) -> None:
        """Process an ARP packet from `wire`: update the entry of its sender."""
        if not int(arp.hwsrc[:2], 16) & 1:  # no host has a group address
            self.learn(wire, arp.psrc, arp.hwsrc, now)

    def learn(self, wire: Wire, address: str, mac: str, now: float) -> None:
        """Update the entry of a neighbour on `wire`, if there is one, and send the packets that waited."""
        neighbour = self._entries.get((wire, address))
        if neighbour is None:
            return
        neighbour.resolve(mac, now)
        while neighbour.queue:
            wire.send(neighbour.header + neighbour.queue.popleft())

    def add_permanent(self, hop: NextHop, mac: str) -> None:
        """Add an entry that needs no confirmation (`ip neigh add ... nud permanent`)."""
        neighbour = self._entries[hop.wire, hop.address] = _Neighbour(hop)
        neighbour.resolve(mac, math.inf)

    def flush(self, wire: Wire) -> None:
        """Delete the entries of a wire whose interface has been replaced."""
        for key in [key for key in self._entries if key[0] is wire]:
            self.lost += len(self._entries.pop(key).queue)

    def tick(self, now: float) -> None:
        """Repeat unanswered requests, and give up after the third; delete entries that are not in use."""
        for key, neighbour in list(self._entries.items()):
            if neighbour.header:
                if now - neighbour.confirmed > _FORGOTTEN:
                    del self._entries[key]
                continue
            if now - neighbour.requested < _RETRY_AFTER:
                continue
            if neighbour.requests < _REQUESTS:
                neighbour.request(now)
            else:
                self.lost += len(neighbour.queue)
                del self._entries[key]
