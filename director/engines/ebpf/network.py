"""Routes and neighbours, as the kernel has them, in the program's tables.

Whose MAC address is known, the program sends to directly; the kernel asks for the others, and keeps
the first packets meanwhile. So that the kernel asks again whether an address still holds, nobody
vouches for any of them for a second now and then: then all packets go by the kernel's own way.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path
from time import monotonic_ns

from director.engines import interfaces as of_this_machine
from director.engines.ebpf import layouts
from director.engines.ebpf.layouts import Settings
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.netlink import NEIGHBOURS, Monitor
from director.engines.scapy.layers import conf

_COMPLETE = 0x02  # linux/if_arp.h
_VOUCHED = 3_000_000_000  # nanoseconds: longer than a second, should the process be late
_ASKED_AGAIN = 20  # seconds
_ARP_TABLE = Path("/proc/net/arp")


class Network:
    def __init__(self, maps: Mapping[str, Map], settings: Settings, interfaces: Iterable[str]) -> None:
        self._maps = {name: maps[name] for name in ("routes", "neighbours")}
        self._settings = settings
        self._interfaces = {name: socket.if_nametoindex(name) for name in interfaces}
        self._path_mtu: dict[str, int] = {}
        self._ticks = 0
        self._monitor = Monitor(NEIGHBOURS)

    def fileno(self) -> int:
        """Readable when the kernel has news of neighbours (rtnetlink(7)); of routes the core hears."""
        return self._monitor.fileno()

    def neighbours_changed(self) -> None:
        """Often only a state has changed; to read all routes anew would take a hundred times as long."""
        self._monitor.drain()
        if self._write_neighbours():
            self._settings.bump_generation()

    def mac_of(self, interface: str, address: str) -> str:
        """The MAC address of a neighbour; empty where the kernel does not know it."""
        key = layouts.NEIGHBOUR_KEY.pack(self._interfaces[interface], layouts.address(address))
        value = self._maps["neighbours"].get(key)
        return layouts.NEIGHBOUR.unpack(value)[0].hex(":") if value else ""

    def learn(self, path_mtu: Mapping[str, int]) -> None:
        """What routers on the way have said, by destination."""
        if path_mtu != self._path_mtu:
            self._path_mtu = dict(path_mtu)
            self.refresh()

    def refresh(self) -> None:
        """Write what has changed since it was written last."""
        changed = [self._write("routes", self._kernels_routes()), self._write_neighbours()]
        if any(changed):
            self._settings.bump_generation()

    def _write_neighbours(self) -> bool:
        return self._write("neighbours", dict(self._kernels_neighbours()))

    def _write(self, name: str, wanted: Mapping[bytes, bytes]) -> bool:
        table = self._maps[name]
        there = {key: table.get(key) for key in list(table.keys())}
        for key in there.keys() - wanted.keys():
            table.remove(key)
        with contextlib.suppress(BpfError):  # full: the kernel finds the others' ways
            for key, value in wanted.items():
                if there.get(key) != value:
                    table.put(key, value)
        return there != wanted

    def _kernels_routes(self) -> dict[bytes, bytes]:
        """The cheapest route to each network that is reached by one of the interfaces."""
        found: dict[bytes, tuple[int, bytes]] = {}
        for network, mask, gateway, interface, _, metric in conf.route.routes:
            if interface not in self._interfaces:
                continue
            key = layouts.PREFIX.pack(mask.bit_count(), int(network).to_bytes(4, "big"))
            if key not in found or metric < found[key][0]:
                found[key] = metric, self._route(interface, gateway)
        routes = {key: value for key, (_, value) in found.items()}
        for destination, mtu in self._path_mtu.items():
            interface, _, gateway = conf.route.route(destination, verbose=0)
            if interface in self._interfaces:
                key = layouts.PREFIX.pack(32, layouts.address(destination))
                routes[key] = self._route(str(interface), gateway, mtu)
        return routes

    def _route(self, interface: str, gateway: str, mtu: int = 65535) -> bytes:
        here = min(mtu, of_this_machine.mtu_of(interface) or 1500, 65535)
        mac = of_this_machine.mac_of(interface) or bytes(6)
        return layouts.ROUTE.pack(self._interfaces[interface], IPv4Address(gateway).packed, mac, here)

    def _kernels_neighbours(self) -> Iterable[tuple[bytes, bytes]]:
        for line in _ARP_TABLE.read_text().splitlines()[1:]:
            address, _, flags, mac, _, interface = line.split()
            if interface in self._interfaces and int(flags, 16) & _COMPLETE:
                key = layouts.NEIGHBOUR_KEY.pack(self._interfaces[interface], layouts.address(address))
                yield key, layouts.NEIGHBOUR.pack(bytes.fromhex(mac.replace(":", "")))

    def tick(self) -> None:
        """A second has passed."""
        self._ticks += 1
        vouched = self._ticks % _ASKED_AGAIN
        self._settings.set_neighbours_valid_until(monotonic_ns() + (_VOUCHED if vouched else 0))

    def close(self) -> None:
        self._monitor.close()
