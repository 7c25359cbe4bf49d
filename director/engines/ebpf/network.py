"""The kernel's routes and neighbours, copied into the program's maps.

The program sends frames to the MAC addresses that it finds there; for other next hops the kernel asks by
ARP or neighbour discovery, and queues the first packets meanwhile. For one second in twenty the copied
addresses are not valid: then all packets go through the kernel's neighbour table, so that it verifies its
entries.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic_ns
from typing import Any, NamedTuple

from director.core.family import IPV4, IPV6, Family
from director.engines import interfaces as of_this_machine
from director.engines.ebpf import layouts
from director.engines.ebpf.layouts import Settings
from director.engines.ebpf.libbpf import BpfError
from director.engines.interfaces import NEIGHBOURS, Monitor, neighbours
from director.engines.scapy.headers import conf
from director.engines.scapy.next_hops import NextHop

_VALIDITY = 3_000_000_000  # nanoseconds: more than a second, in case the process is late
_VERIFICATION_INTERVAL = 20  # seconds
_IPV6_ROUTES = Path("/proc/net/ipv6_route")
# linux/ipv6_route.h: rejecting, of an anycast address, of an own address
_NOT_FORWARDED = 0x200 | 0x00100000 | 0x80000000


class Route(NamedTuple):
    """`network` are the bytes of its address; the gateway's are all zero where there is none."""

    length: int
    network: bytes
    gateway: bytes
    interface: str
    metric: int


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
        self._interfaces = {name: socket.if_nametoindex(name) for name in interfaces}
        self._lookup = lookup
        self._families = {IPV4: _ipv4_routes}
        self._path_mtu: dict[str, int] = {}
        self._ticks = 0
        self._monitor = Monitor(NEIGHBOURS)

    def use(self, family: Family) -> None:
        """From now on, this one's routes and neighbours as well."""
        if family is IPV6:
            self._families[IPV6] = _ipv6_routes
        self._update()

    def fileno(self) -> int:
        """Readable when a neighbour has changed (rtnetlink(7)); the Scapy engine listens for routes."""
        return self._monitor.fileno()

    def neighbours_changed(self) -> None:
        """Read the neighbours again, but not the routes, which would take a hundred times as long."""
        self._monitor.drain()
        if self._write_neighbours():
            self._settings.bump_generation()

    def mac_of(self, interface: str, address: str) -> str:
        """The MAC address of a neighbour; empty where the kernel does not know it."""
        key = layouts.neighbour_key(self._interfaces[interface], layouts.address(address))
        value = self._maps["neighbours"].get(key)
        return layouts.NEIGHBOUR.unpack(value)[0].hex(":") if value else ""

    def learn(self, path_mtu: Mapping[str, int]) -> None:
        """Apply path MTUs by destination, as routers have reported them."""
        if path_mtu != self._path_mtu:
            self._path_mtu = dict(path_mtu)
            self._update()

    def refresh(self) -> None:
        """Read the kernel's routes and neighbours, and write those that have changed."""
        conf.route.resync()
        self._update()

    def _update(self) -> None:
        changed = [self._write("routes", self._kernel_routes()), self._write_neighbours()]
        if any(changed):
            self._settings.bump_generation()

    def _write_neighbours(self) -> bool:
        try:
            wanted = dict(self._kernel_neighbours())
        except OSError:  # without an answer, those that are there stay valid until they are verified
            return False
        return self._write("neighbours", wanted)

    def _write(self, name: str, wanted: Mapping[bytes, bytes]) -> bool:
        """Whether anything had to be changed."""
        entries = self._maps[name]
        current = {key: entries.get(key) for key in list(entries.keys())}
        for key in current.keys() - wanted.keys():
            entries.remove(key)
        with contextlib.suppress(BpfError):  # full: packets to the others go to the core
            for key, value in wanted.items():
                if current.get(key) != value:
                    entries.put(key, value)
        return current != wanted

    def _kernel_routes(self) -> dict[bytes, bytes]:
        """The route with the lowest metric to each network behind one of the interfaces."""
        found: dict[bytes, tuple[int, bytes]] = {}
        for kernel_routes in self._families.values():
            for route in kernel_routes():
                if route.interface not in self._interfaces:
                    continue
                key = layouts.prefix_key(route.length, route.network)
                if key not in found or route.metric < found[key][0]:
                    found[key] = route.metric, self._route(route.interface, route.gateway)
        routes = {key: value for key, (_, value) in found.items()}
        for destination, mtu in self._path_mtu.items():
            hop = self._lookup(destination)
            if hop is not None:
                packed = layouts.address(destination)
                gateway = bytes(len(packed)) if hop.address == destination else layouts.address(hop.address)
                key = layouts.prefix_key(8 * len(packed), packed)
                routes[key] = self._route(hop.wire.interface, gateway, mtu)
        return routes

    def _route(self, interface: str, gateway: bytes, mtu: int = 65535) -> bytes:
        mtu = min(mtu, of_this_machine.mtu_of(interface) or 1500, 65535)
        mac = of_this_machine.mac_of(interface) or bytes(6)
        return layouts.route(self._interfaces[interface], gateway, mac, mtu)

    def _kernel_neighbours(self) -> Iterable[tuple[bytes, bytes]]:
        indexes = set(self._interfaces.values())
        for family in self._families:
            for index, address, mac in neighbours(family):
                if index in indexes:
                    yield layouts.neighbour_key(index, address), layouts.NEIGHBOUR.pack(mac)

    def tick(self) -> None:
        """Called every second."""
        self._ticks += 1
        valid = self._ticks % _VERIFICATION_INTERVAL
        self._settings.set_neighbours_valid_until(monotonic_ns() + (_VALIDITY if valid else 0))

    def close(self) -> None:
        self._monitor.close()


def _ipv4_routes() -> Iterator[Route]:
    for network, mask, gateway, interface, _, metric in conf.route.routes:
        packed = int(network).to_bytes(4, "big")
        yield Route(mask.bit_count(), packed, IPv4Address(gateway).packed, interface, metric)


def _ipv6_routes() -> Iterator[Route]:
    """A line has network, source network, gateway, metric, two counts, flags and interface."""
    table = _IPV6_ROUTES.read_text() if _IPV6_ROUTES.exists() else ""  # the kernel has no IPv6
    for line in table.splitlines():
        network, length, _, source_length, gateway, metric, _, _, flags, interface = line.split()
        if not int(flags, 16) & _NOT_FORWARDED and not int(source_length, 16):
            packed = bytes.fromhex(network), bytes.fromhex(gateway)
            yield Route(int(length, 16), *packed, interface, int(metric, 16))
