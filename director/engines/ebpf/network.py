"""The kernel's routes and neighbours, copied into the program's maps.

The program sends frames to the MAC addresses that it finds there; for other next hops the kernel asks by
ARP or neighbour discovery, and queues the first packets meanwhile. For one second in twenty the copied
addresses are not valid: then all packets go through the kernel's neighbour table, so that it verifies its
entries.

If rules choose among several tables (ip-rule(8)), none is copied: the core asks the kernel, and the program
gets the next hops that the core has found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from time import monotonic_ns
from typing import Any, NamedTuple

from director.core.family import IPV4, Family, family_of
from director.engines import interfaces as of_this_machine
from director.engines.ebpf import layouts
from director.engines.ebpf.layouts import Settings
from director.engines.ebpf.libbpf import BpfError
from director.engines.rtnetlink import NEIGHBOURS, Monitor, Route, has_routing_policy, neighbours, routes
from director.engines.scapy.next_hops import NextHop, Routes

_VALIDITY = 3_000_000_000  # nanoseconds: more than a second, in case the process is late
_VERIFICATION_INTERVAL = 20  # seconds
_LARGEST_MTU = 65535
_TO_THE_CORE = 0  # an interface index: the program can't send packets there itself


class _Link(NamedTuple):
    """What routes over an interface have in common."""

    mac: bytes
    mtu: int

    @classmethod
    def of(cls, name: str) -> _Link:
        mtu = of_this_machine.mtu_of(name) or 1500
        return cls(of_this_machine.mac_of(name) or bytes(6), min(mtu, _LARGEST_MTU))


class Network:
    def __init__(
        self,
        maps: Mapping[str, Any],
        settings: Settings,
        interfaces: Iterable[str],
        lookup: Callable[[str], NextHop | None],
    ) -> None:
        """`lookup` asks for the next hop to an address. Begins with IPv4; `use` adds IPv6."""
        self._maps = {name: maps[name] for name in ("routes", "neighbours")}
        self._settings = settings
        self._interfaces = {name: of_this_machine.index_of(name) or 0 for name in interfaces}
        self._lookup = lookup
        self._families = {IPV4}
        self._kernels: dict[bytes, Route] = {}
        self._by_policy: set[Family] = set()
        self._found: dict[str, NextHop] = {}  # of those families
        self._path_mtu: dict[str, int] = {}
        self._ticks = 0
        self._monitor = Monitor(NEIGHBOURS)

    def use(self, family: Family) -> None:
        """Copy the routes and neighbours of this family, too."""
        self._families.add(family)
        self.refresh()

    def fileno(self) -> int:
        """Readable when a neighbour has changed (rtnetlink(7)); the Scapy engine listens for routes."""
        return self._monitor.fileno()

    def neighbours_changed(self) -> None:
        """Read the neighbours again, but not the routes, which would take a hundred times as long."""
        self._monitor.drain()
        if self._write_neighbours():
            self._settings.bump_generation()

    def mac_of(self, interface: str, address: str) -> str:
        """The MAC address of a neighbour; empty if the kernel does not know it."""
        key = layouts.neighbour_key(self._interfaces[interface], layouts.address(address))
        value = self._maps["neighbours"].get(key)
        return layouts.NEIGHBOUR.unpack(value)[0].hex(":") if value else ""

    def learn(self, path_mtu: Mapping[str, int]) -> None:
        """Apply path MTUs by destination, as routers have reported them."""
        if path_mtu != self._path_mtu:
            self._path_mtu = dict(path_mtu)
            self._update()

    def refresh(self) -> None:
        """Read the kernel's routes and neighbours, and write those that have changed. Raises OSError."""
        for name, before in self._interfaces.items():  # a replaced interface has another index
            self._interfaces[name] = of_this_machine.index_of(name) or before
        self._found = {}
        self._read_routes()
        self._update()

    def _update(self) -> None:
        changed = [self._write("routes", self._routes()), self._write_neighbours()]
        if any(changed):
            self._settings.bump_generation()

    def _write_neighbours(self) -> bool:
        try:
            wanted = dict(self._kernel_neighbours())
        except OSError:  # without an answer, the present ones stay valid until they are verified
            return False
        return self._write("neighbours", wanted)

    def _write(self, name: str, wanted: Mapping[bytes, bytes]) -> bool:
        """Write the entries that differ; returns whether any did."""
        entries = self._maps[name]
        current = {key: entries.get(key) for key in list(entries.keys())}
        for key in current.keys() - wanted.keys():
            entries.remove(key)
        try:
            for key, value in wanted.items():
                if current.get(key) != value:
                    entries.put(key, value)
        except BpfError:  # the map is full: packets to the other neighbours use the kernel's table
            # A missing route would let one to a larger network win: the core finds all.
            if name == "routes":
                for key in list(entries.keys()):
                    entries.remove(key)
        return current != wanted

    def _read_routes(self) -> None:
        """The route with the lowest metric to each network. Raises OSError.

        It counts even if it leads over an interface that is not the director's: the kernel would use it, and
        not one to a larger network. Such packets go to the core, which finds the same.
        """
        self._by_policy = set(filter(has_routing_policy, self._families))
        found: dict[bytes, Route] = {}
        ours = set(self._interfaces.values())
        for family in self._families:
            for route in () if family in self._by_policy else routes(family):
                key = layouts.prefix_key(route.length, route.network)
                rank = route.metric, route.ifindex not in ours
                if key not in found or rank < (found[key].metric, found[key].ifindex not in ours):
                    found[key] = route
        self._kernels = found

    def _routes(self) -> dict[bytes, bytes]:
        """The kernel's routes, and routes to single hosts about which the core knows more."""
        ours = {index: name for name, index in self._interfaces.items()}
        links = {name: _Link.of(name) for name in self._interfaces}
        written = {
            key: self._route(links, ours.get(route.ifindex), route.gateway, route.mtu)
            for key, route in self._kernels.items()
        }
        for destination in {**self._found, **self._path_mtu}:
            hop = self._lookup(destination)
            if hop is not None:
                packed = layouts.address(destination)
                gateway = bytes(len(packed)) if hop.address == destination else layouts.address(hop.address)
                key = layouts.prefix_key(8 * len(packed), packed)
                mtu = min(hop.mtu, self._path_mtu.get(destination, hop.mtu))
                written[key] = self._route(links, hop.wire.interface, gateway, mtu)
        return written

    def _route(self, links: Mapping[str, _Link], interface: str | None, gateway: bytes, mtu: int) -> bytes:
        """An encoded route; `interface` is None if only the core can follow it, `mtu` 0 for the link's."""
        if interface is None:
            return layouts.route(_TO_THE_CORE, bytes(len(gateway)), bytes(6), 0)
        link = links[interface]
        return layouts.route(self._interfaces[interface], gateway, link.mac, min(mtu or link.mtu, link.mtu))

    def _kernel_neighbours(self) -> Iterable[tuple[bytes, bytes]]:
        indexes = set(self._interfaces.values())
        for family in self._families:
            for index, address, mac in neighbours(family):
                if index in indexes:
                    yield layouts.neighbour_key(index, address), layouts.NEIGHBOUR.pack(mac)

    def tick(self, routes: Routes) -> None:
        """Called every second; `routes` are the core's."""
        if self._by_policy:
            found = {to: hop for to, hop in routes.found.items() if family_of(to) in self._by_policy}
            if found != self._found:
                self._found = found
                self._update()
        self._ticks += 1
        valid = self._ticks % _VERIFICATION_INTERVAL
        self._settings.set_neighbours_valid_until(monotonic_ns() + (_VALIDITY if valid else 0))

    def close(self) -> None:
        self._monitor.close()
