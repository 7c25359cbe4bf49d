"""Real servers, as the program has them: each has a number, its place in the program's tables.

It keeps it as long as a rule, a connection or a template refers to it. How loaded a server is, is
fetched before the core needs it and brought back after: the program and the core decide in turns, and
each counts for itself. What the core has counted is in a table as well, for the next director.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.statistics import COUNTERS
from director.engines.ebpf import layouts
from director.engines.ebpf.layouts import METHODS
from director.engines.ebpf.libbpf.maps import Map
from director.engines.engine import EngineError

_COUNTS = slice(32, 48)  # of a server's value
_OVERLOADED = slice(28, 32)


class Servers:
    def __init__(self, maps: dict[str, Map]) -> None:
        self._counted = maps["server_stats"]
        self._memory, self._room = maps["servers"].mapped(), maps["servers"].size
        self._added = maps["core_stats"].mapped()
        self._numbers: dict[int, int] = {}  # by the identity of a server
        self._at: dict[int, tuple[VirtualService, RealServer]] = {}
        self._free: list[int] = []
        self._seen: dict[int, tuple[int, int]] = {}  # connections, as they were when fetched last
        self._carried: dict[int, tuple[int, ...]] = {}  # counters, likewise
        self._written: dict[int, tuple[int, ...]] = {}  # what the core adds to them, as it is in its table

    @property
    def capacity(self) -> int:
        """How many may have numbers, which are all below that."""
        return self._room

    def at(self, number: int) -> tuple[VirtualService, RealServer]:
        """Whose number it is."""
        return self._at[number]

    def number_of(self, server: RealServer) -> int:
        return self._numbers[id(server)]

    def numbered(self) -> Iterator[tuple[int, VirtualService, RealServer]]:
        return ((number, service, server) for number, (service, server) in self._at.items())

    # ---- numbers ----

    def assign_numbers(self, services: Sequence[VirtualService]) -> None:
        """New servers get one; those that nobody refers to any more give theirs back.

        Raises EngineError, with nothing changed, where they are too many.
        """
        known = {
            id(server): (service, server)
            for service in services
            for server in (*service.servers, *service.removed.values())
        }
        gone = [
            (number, server)
            for number, (_, server) in self._at.items()
            if id(server) not in known and not server.in_use
        ]
        new = [identity for identity in known if identity not in self._numbers]
        if len(self._at) - len(gone) + len(new) > self._room:
            raise EngineError(f"The engine ebpf has room for {self._room} real servers.")
        for number, server in gone:
            self._release(number, server)
        for number, (service, server) in self._at.items():
            self._at[number] = known.get(id(server), (service, server))
        for identity in new:
            self.bind(self._next_free(), *known[identity])

    def _next_free(self) -> int:
        return self._free.pop() if self._free else len(self._at)

    def bind(self, number: int, service: VirtualService, server: RealServer) -> None:
        """Let a server have that number."""
        self._numbers[id(server)] = number
        self._at[number] = service, server
        self._seen[number] = 0, 0
        self._carried[number] = self._written[number] = (0,) * len(COUNTERS)

    def reserve(self, numbers: Iterable[int]) -> None:
        """Those between the numbers that are bound are free."""
        taken = set(numbers)
        self._free = [number for number in range(max(taken, default=-1)) if number not in taken]

    def _release(self, number: int, server: RealServer) -> None:
        del self._at[number], self._numbers[id(server)]
        del self._seen[number], self._carried[number], self._written[number]
        for memory, size in ((self._memory, layouts.SERVER.size), (self._added, layouts.CORE_STATS.size)):
            memory[number * size : (number + 1) * size] = bytes(size)
        self._counted.clear_per_cpu(number)
        self._free.append(number)

    # ---- written ----

    def write(self, own_address_to: Callable[[str], str]) -> None:
        """What their rules say."""
        for number, (_, server) in self._at.items():
            self._write(number, server, own_address_to(server.address.address))

    def _write(self, number: int, server: RealServer, own: str) -> None:
        """All but the connections, which are the program's to count."""
        start = number * layouts.SERVER.size
        there = server.address
        value = layouts.SERVER.pack(
            layouts.address(there.address),
            layouts.port(there.port),
            METHODS.index(server.method),
            layouts.address(own),
            int(server.configured),
            server.weight,
            server.upper,
            server.lower,
            int(server.overloaded),
            *(0, 0, 0, 0),
        )
        self._memory[start : start + _COUNTS.start] = value[: _COUNTS.start]

    # ---- fetched and brought back ----

    def fetch(self) -> None:
        """Let the core know what the program has counted."""
        for number, (service, server) in self._at.items():
            self._fetch_load(number, server)
            self._fetch_counters(number, service, server)

    def fetch_loads(self, servers: Iterable[RealServer]) -> None:
        for server in servers:
            self._fetch_load(self._numbers[id(server)], server)

    def write_back(self, servers: Iterable[RealServer]) -> None:
        """What the core has changed."""
        for server in servers:
            self._write_back_load(self._numbers[id(server)], server)

    def write_all_back(self) -> None:
        for number, (_, server) in self._at.items():
            self._write_back_load(number, server)
            self._save_counters(number, server)

    def _fetch_load(self, number: int, server: RealServer) -> None:
        self._write_back_load(number, server)
        *_, overloaded, active, inactive, core_active, core_inactive = self._values(number)
        server.active = max(0, active + core_active)  # a number may be read while another one changes
        server.inactive = max(0, inactive + core_inactive)
        server.overloaded = bool(overloaded)
        self._seen[number] = server.active, server.inactive

    def _write_back_load(self, number: int, server: RealServer) -> None:
        """The core's own changes are counted apart: the program adds to its counters at any time."""
        seen = self._seen[number]
        if (server.active, server.inactive) == seen:
            return
        values = list(self._values(number))
        values[-2] += server.active - seen[0]
        values[-1] += server.inactive - seen[1]
        values[-5] = int(server.overloaded)
        start = number * layouts.SERVER.size
        packed = layouts.SERVER.pack(*values)
        self._memory[start + _COUNTS.start + 8 : start + _COUNTS.stop] = packed[_COUNTS.start + 8 :]
        self._memory[start + _OVERLOADED.start : start + _OVERLOADED.stop] = packed[_OVERLOADED]
        self._seen[number] = server.active, server.inactive

    def _values(self, number: int) -> tuple[Any, ...]:
        return layouts.SERVER.unpack_from(self._memory, number * layouts.SERVER.size)

    def _fetch_counters(self, number: int, service: VirtualService, server: RealServer) -> None:
        now = self._counters(number)
        for name, count, before in zip(COUNTERS, now, self._carried[number], strict=True):
            if count != before:
                for stats in (server.stats, service.stats):
                    setattr(stats, name, getattr(stats, name) + count - before)
        self._carried[number] = now

    def save_counters(self, server: RealServer) -> None:
        """The core has counted something: write it down, should there be another core."""
        self._save_counters(self._numbers[id(server)], server)

    def _save_counters(self, number: int, server: RealServer) -> None:
        added = tuple(map(int.__sub__, server.stats.counts(), self._carried[number]))
        if added != self._written[number]:
            layouts.CORE_STATS.pack_into(self._added, number * layouts.CORE_STATS.size, *added)
            self._written[number] = added

    def resume_counters(self, number: int) -> None:
        """A server's counters go on from where an earlier director has been."""
        _, server = self._at[number]
        self._carried[number] = self._counters(number)
        self._written[number] = layouts.CORE_STATS.unpack_from(self._added, number * layouts.CORE_STATS.size)
        server.stats.resume(map(int.__add__, self._carried[number], self._written[number]))

    def _counters(self, number: int) -> tuple[int, ...]:
        """Connections, packets and bytes, of all processors."""
        values = self._counted.get_per_cpu(number)
        each = layouts.STATS.iter_unpack(values)
        return tuple(sum(column) for column in zip(*each, strict=True))

    def totals(self) -> tuple[int, ...]:
        """The same of all servers together."""
        if not self._at:
            return (0,) * len(COUNTERS)
        return tuple(sum(column) for column in zip(*map(self._counters, self._at), strict=True))
