"""The kernel's routes and neighbours, copied into the program's maps.

The program sends frames to the MAC addresses that it finds there; for other next hops the kernel asks by
ARP, and queues the first packets meanwhile. For one second in twenty the copied addresses are not valid:
then all packets go through the kernel's neighbour table, so that it verifies its entries.
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
from director.engines.interfaces import NEIGHBOURS, Monitor
from director.engines.scapy.headers import conf

_COMPLETE = 0x02  # ATF_COM in linux/if_arp.h
_VALIDITY = 3_000_000_000  # nanoseconds: more than a second, in case the process is late
_VERIFICATION_INTERVAL = 20  # seconds
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
        """Readable when a neighbour has changed (rtnetlink(7)); the Scapy engine listens for routes."""
        return self._monitor.fileno()

    def neighbours_changed(self) -> None:
        """Read the neighbours again, but not the routes, which would take a hundred times as long."""
        self._monitor.drain()
        if self._write_neighbours():
            self._settings.bump_generation()

    def mac_of(self, interface: str, address: str) -> str:
        """The MAC address of a neighbour; empty where the kernel does not know it."""
        key = layouts.NEIGHBOUR_KEY.pack(self._interfaces[interface], layouts.address(address))
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
        return self._write("neighbours", dict(self._kernel_neighbours()))

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
        mtu = min(mtu, of_this_machine.mtu_of(interface) or 1500, 65535)
        mac = of_this_machine.mac_of(interface) or bytes(6)
        return layouts.ROUTE.pack(self._interfaces[interface], IPv4Address(gateway).packed, mac, mtu)

    def _kernel_neighbours(self) -> Iterable[tuple[bytes, bytes]]:
        for line in _ARP_TABLE.read_text().splitlines()[1:]:
            address, _, flags, mac, _, interface = line.split()
            if interface in self._interfaces and int(flags, 16) & _COMPLETE:
                key = layouts.NEIGHBOUR_KEY.pack(self._interfaces[interface], layouts.address(address))
                yield key, layouts.NEIGHBOUR.pack(bytes.fromhex(mac.replace(":", "")))

    def tick(self) -> None:
        """Called every second."""
        self._ticks += 1
        valid = self._ticks % _VERIFICATION_INTERVAL
        self._settings.set_neighbours_valid_until(monotonic_ns() + (_VALIDITY if valid else 0))

    def close(self) -> None:
        self._monitor.close()
