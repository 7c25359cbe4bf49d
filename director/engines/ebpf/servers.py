"""Real servers in the program's maps: each has a number, its index there.

A server keeps its number as long as a rule, a connection or a template refers to it. The program and the
core schedule in turns, and each counts connections for itself: the program's counts are fetched before
the core needs them, and the core's are written back. The core's counters are in a map as well, for
the next director.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.statistics import COUNTERS
from director.engines.ebpf import layouts
from director.engines.ebpf.layouts import METHODS
from director.engines.ebpf.libbpf.maps import Map
from director.engines.engine import EngineError

# Fields at the end of SERVER, counted from there, and where they are in bytes.
_OVERLOADED, _CORE_ACTIVE, _CORE_INACTIVE = -5, -2, -1
_OVERLOADED_BYTES, _CONNECTIONS_BYTES, _CORE_BYTES = slice(52, 56), slice(56, 72), slice(64, 72)


class Servers:
    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._memory, self._capacity = maps["servers"].mapped(), maps["servers"].size
        self._stats = maps["server_stats"]
        self._core_stats = maps["core_stats"].mapped()
        self._numbers: dict[int, int] = {}  # by the identity of a server
        self._by_number: dict[int, tuple[VirtualService, RealServer]] = {}
        self._free: list[int] = []
        # By number, as they were when last fetched or written:
        self._fetched_load: dict[int, tuple[int, int]] = {}
        self._fetched_stats: dict[int, tuple[int, ...]] = {}
        self._written_stats: dict[int, tuple[int, ...]] = {}

    # ---- numbers ----

    @property
    def capacity(self) -> int:
        """Numbers are below this."""
        return self._capacity

    def has(self, number: int) -> bool:
        """Whether a server has this number."""
        return number in self._by_number

    def at(self, number: int) -> tuple[VirtualService, RealServer]:
        return self._by_number[number]

    def number_of(self, server: RealServer) -> int:
        return self._numbers[id(server)]

    def numbered(self) -> Iterator[tuple[int, VirtualService, RealServer]]:
        return ((number, service, server) for number, (service, server) in self._by_number.items())

    def assign_numbers(self, services: Sequence[VirtualService]) -> None:
        """Number new servers, and free the numbers of those that nothing refers to any more.

        Raises EngineError if there are too many servers; then nothing has changed.
        """
        known = {
            id(server): (service, server)
            for service in services
            for server in (*service.servers, *service.removed.values())
        }
        unused = [
            (number, server)
            for number, (_, server) in self._by_number.items()
            if id(server) not in known and not server.in_use
        ]
        new = [identity for identity in known if identity not in self._numbers]
        if len(self._by_number) - len(unused) + len(new) > self._capacity:
            raise EngineError(
                f"The ebpf engine has room for {self._capacity} real servers: use fewer, or --engine scapy."
            )
        for number, server in unused:
            self._free_number(number, server)
        for number, (service, server) in self._by_number.items():
            self._by_number[number] = known.get(id(server), (service, server))
        for identity in new:
            number = self._free.pop() if self._free else len(self._by_number)
            self.bind(number, *known[identity])

    def bind(self, number: int, service: VirtualService, server: RealServer) -> None:
        """Give a server this number."""
        self._numbers[id(server)] = number
        self._by_number[number] = service, server
        self._fetched_load[number] = 0, 0
        self._fetched_stats[number] = self._written_stats[number] = (0,) * len(COUNTERS)

    def reserve(self, numbers: Iterable[int]) -> None:
        """Keep these numbers for `bind`; the others below the highest of them are free."""
        taken = set(numbers)
        self._free = [number for number in range(max(taken, default=-1)) if number not in taken]

    def _free_number(self, number: int, server: RealServer) -> None:
        del self._by_number[number], self._numbers[id(server)]
        del self._fetched_load[number], self._fetched_stats[number], self._written_stats[number]
        for memory, size in (
            (self._memory, layouts.SERVER.size),
            (self._core_stats, layouts.CORE_STATS.size),
        ):
            memory[number * size : (number + 1) * size] = bytes(size)
        self._stats.clear_per_cpu(number)
        self._free.append(number)

    # ---- rules ----

    def write(self, source_address_to: Callable[[str], str]) -> None:
        """Write the rules of all servers; `source_address_to` gives a tunnel's source."""
        for number, (_, server) in self._by_number.items():
            self._write(number, server, source_address_to(server.address.address))

    def _write(self, number: int, server: RealServer, tunnel_source: str) -> None:
        """Write everything but the connections, which the program counts."""
        start = number * layouts.SERVER.size
        value = layouts.SERVER.pack(
            layouts.address(server.address.address),
            layouts.port(server.address.port),
            METHODS.index(server.method),
            layouts.address(tunnel_source),
            int(server.configured),
            server.weight,
            server.upper,
            server.lower,
            int(server.overloaded),
            *(0, 0, 0, 0),
        )
        end = _CONNECTIONS_BYTES.start
        self._memory[start : start + end] = value[:end]

    # ---- connections and counters ----

    def fetch(self) -> None:
        """Fetch what the program has counted."""
        for number, (service, server) in self._by_number.items():
            self._fetch_load(number, server)
            self._fetch_stats(number, service, server)

    def fetch_loads(self, servers: Iterable[RealServer]) -> None:
        for server in servers:
            self._fetch_load(self._numbers[id(server)], server)

    def write_back(self, servers: Iterable[RealServer]) -> None:
        """Write the loads that the core has changed."""
        for server in servers:
            self._write_load(self._numbers[id(server)], server)

    def write_all_back(self) -> None:
        """Write the loads and counters that the core has changed."""
        for number, (_, server) in self._by_number.items():
            self._write_load(number, server)
            self._write_stats(number, server)

    def _fetch_load(self, number: int, server: RealServer) -> None:
        self._write_load(number, server)
        *_, overloaded, active, inactive, core_active, core_inactive = self._values(number)
        server.active = max(0, active + core_active)  # one of them may have changed in between
        server.inactive = max(0, inactive + core_inactive)
        server.overloaded = bool(overloaded)
        self._fetched_load[number] = server.active, server.inactive

    def _write_load(self, number: int, server: RealServer) -> None:
        """Write the core's own count only; the program's count may change at any time."""
        active, inactive = self._fetched_load[number]
        if (server.active, server.inactive) == (active, inactive):
            return
        values = list(self._values(number))
        values[_CORE_ACTIVE] += server.active - active
        values[_CORE_INACTIVE] += server.inactive - inactive
        values[_OVERLOADED] = int(server.overloaded)
        packed = layouts.SERVER.pack(*values)
        start = number * layouts.SERVER.size
        for field in (_CORE_BYTES, _OVERLOADED_BYTES):
            self._memory[start + field.start : start + field.stop] = packed[field]
        self._fetched_load[number] = server.active, server.inactive

    def _values(self, number: int) -> tuple[Any, ...]:
        return layouts.SERVER.unpack_from(self._memory, number * layouts.SERVER.size)

    def _fetch_stats(self, number: int, service: VirtualService, server: RealServer) -> None:
        counted = self._program_stats(number)
        for name, count, before in zip(COUNTERS, counted, self._fetched_stats[number], strict=True):
            if count != before:
                for stats in (server.stats, service.stats):
                    setattr(stats, name, getattr(stats, name) + count - before)
        self._fetched_stats[number] = counted

    def save_counters(self, server: RealServer) -> None:
        """Write what the core has counted, for the next director."""
        self._write_stats(self._numbers[id(server)], server)

    def _write_stats(self, number: int, server: RealServer) -> None:
        added = tuple(map(int.__sub__, server.stats.counts(), self._fetched_stats[number]))
        if added != self._written_stats[number]:
            layouts.CORE_STATS.pack_into(self._core_stats, number * layouts.CORE_STATS.size, *added)
            self._written_stats[number] = added

    def resume_counters(self, number: int) -> None:
        """Continue a server's counters from those of an earlier director."""
        _, server = self._by_number[number]
        offset = number * layouts.CORE_STATS.size
        self._fetched_stats[number] = self._program_stats(number)
        self._written_stats[number] = layouts.CORE_STATS.unpack_from(self._core_stats, offset)
        server.stats.resume(map(int.__add__, self._fetched_stats[number], self._written_stats[number]))

    def _program_stats(self, number: int) -> tuple[int, ...]:
        """Connections, packets and bytes, over all processors."""
        per_cpu = layouts.STATS.iter_unpack(self._stats.get_per_cpu(number))
        return tuple(sum(column) for column in zip(*per_cpu, strict=True))

    def program_totals(self) -> tuple[int, ...]:
        """The same over all servers."""
        if not self._by_number:
            return (0,) * len(COUNTERS)
        return tuple(sum(column) for column in zip(*map(self._program_stats, self._by_number), strict=True))
