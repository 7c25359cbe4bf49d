"""The program's maps without a kernel, and what the program does to them."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any, cast

from director.core.commands import ServiceKey
from director.core.packet import TCP
from director.core.real_server import Method, RealServer
from director.core.schedulers import make
from director.core.service import Policy, VirtualService
from director.engines.ebpf import layouts
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import KernelClock, Totals
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.table import SharedTable
from director.engines.ebpf.templates import SharedTemplates
from tests.unit.director.core.support import RS1, RS2, WEB

OFFSET = 1000.0  # of the core's clock
SERVER_NUMBERS = {RS1: 1, RS2: 2}


class FakeMap:
    """Stands in for libbpf.maps.Map."""

    def __init__(self, size: int = 1000) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.size = self.value_size = size
        self.counts: dict[int, bytes] = {}  # counters of servers, on one processor
        self._memory: mmap.mmap | None = None

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.entries and len(self.entries) >= self.size:
            raise BpfError("full")
        self.entries[key] = value

    def add(self, key: bytes, value: bytes) -> bool:
        if key in self.entries:
            return False
        self.put(key, value)
        return True

    def remove(self, key: bytes) -> bool:
        return self.entries.pop(key, None) is not None

    def keys(self) -> Iterator[bytes]:
        return iter(list(self.entries))

    def mapped(self) -> mmap.mmap:
        self._memory = self._memory or mmap.mmap(-1, 64 * self.size)
        return self._memory

    def get_per_cpu(self, number: int) -> bytes:
        return self.counts.get(number, bytes(layouts.STATS.size))

    def clear_per_cpu(self, number: int) -> None:
        self.counts.pop(number, None)

    def batches(self, _cursor: object = None, size: int = 4) -> Iterator[list[tuple[bytes, bytes]]]:
        entries = list(self.entries.items())
        yield from (entries[at : at + size] for at in range(0, len(entries), size))


class FakeUpdates:
    """Stands in for ProgramUpdates; `meanwhile` is called once before the next update."""

    def __init__(self, entries: FakeMap, totals: Totals) -> None:
        self._map = entries
        self._totals = totals
        self.meanwhile: Callable[[], None] | None = None

    def _interrupt(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()

    def compare_and_swap(
        self, key: bytes, before: int, after: int, expires: int | None = None, packets: int = 0
    ) -> bool:
        self._interrupt()
        value = self._map.get(key)
        if value is None or layouts.Entry.from_bytes(value).flags != before:
            return False
        entry = layouts.Entry.from_bytes(value)
        expires, packets = entry.expires if expires is None else expires, max(entry.packets, packets)
        self._map.put(key, bytes(entry._replace(flags=after, expires=expires, packets=packets)))
        return True

    def remove(self, key: bytes) -> int | None:
        self._interrupt()
        value = self._map.get(key)
        if value is None or layouts.Entry.from_bytes(value).flags & layouts.REPLY:
            return None
        entry = layouts.Entry.from_bytes(value)
        protocol, client, _ = layouts.parse_flow_key(key)
        self._map.remove(key)
        if entry.method is Method.NAT:
            self._map.remove(layouts.flow_key(protocol, entry.endpoint, client))
        self._totals.add_connections(-1)
        return entry.flags


class FakeServers:
    """Two numbered real servers of one service."""

    def __init__(self, method: Method, persistent: int = 0) -> None:
        policy = Policy("rr", (), persistent)
        self.service = VirtualService(ServiceKey(TCP, WEB), policy, make("rr"))
        self.servers = {number: RealServer(at, 1, method) for at, number in SERVER_NUMBERS.items()}
        self.time = OFFSET

    def now(self) -> float:
        return self.time

    def has(self, number: int) -> bool:
        return number in self.servers

    def at(self, number: int) -> tuple[VirtualService, RealServer]:
        return self.service, self.servers[number]

    def number_of(self, server: RealServer) -> int:
        return next(number for number, known in self.servers.items() if known is server)

    def save_counters(self, server: RealServer) -> None:
        """There is no next director."""


class Shared:
    """A shared table and shared templates over fake maps."""

    def __init__(self, method: Method = Method.NAT, persistent: int = 0) -> None:
        self.rules = FakeServers(method, persistent)
        self.map, self.templates_map, self.sessions = FakeMap(), FakeMap(), FakeMap()
        self.totals = Totals(mmap.mmap(-1, mmap.PAGESIZE))
        clock, rules = KernelClock(self.rules.now, OFFSET), self.rules
        self.templates = SharedTemplates(self.templates_map, self.totals, rules, clock)  # type: ignore[arg-type]
        self.clock = clock
        self.updates = FakeUpdates(self.map, self.totals)
        self.table = self.next_table()

    def next_table(self) -> SharedTable:
        """The table of the next director, over the same maps."""
        entries, servers, sessions = (cast(Any, fake) for fake in (self.map, self.rules, self.sessions))
        known = self.templates, FtpSessions(sessions)
        return SharedTable(
            entries, self.totals, servers, *known, self.updates, self.clock, self.sweep, bits=8
        )

    def sweep(self) -> None:
        """Remove expired connections, like the program."""
        now = self.clock.nanoseconds(self.rules.time)
        for key, value in list(self.map.entries.items()):
            entry = layouts.Entry.from_bytes(value)
            if not entry.flags & (layouts.REPLY | layouts.CORE_OWNED) and entry.expires <= now:
                protocol, client, _ = layouts.parse_flow_key(key)
                self.map.remove(key)
                self.map.remove(layouts.flow_key(protocol, entry.endpoint, client))
                self.totals.add_connections(-1)
