"""The program's tables without a kernel, and a program that ends what is over."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any, cast

from director.core.commands import ServiceKey
from director.core.decision import Method
from director.core.packet import TCP
from director.core.schedulers import make
from director.core.service import Policy, RealServer, VirtualService
from director.engines.ebpf import shapes
from director.engines.ebpf.clock import KernelClock
from director.engines.ebpf.libbpf.library import BpfError
from director.engines.ebpf.sessions import Sessions
from director.engines.ebpf.settings import Totals
from director.engines.ebpf.table import SharedTable
from director.engines.ebpf.templates import SharedTemplates
from tests.unit.director.core.support import RS1, RS2, WEB

OFFSET = 1000.0  # of the core's clock
SERVER_NUMBERS = {RS1: 1, RS2: 2}


class FakeMap:
    """Like libbpf.Map."""

    def __init__(self, size: int = 1000) -> None:
        self.entries: dict[bytes, bytes] = {}
        self.size = size

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        if key not in self.entries and len(self.entries) >= self.size:
            raise BpfError("full")
        self.entries[key] = value

    def remove(self, key: bytes) -> bool:
        return self.entries.pop(key, None) is not None

    def mapped(self) -> mmap.mmap:
        return mmap.mmap(-1, 64 * self.size)

    def batches(self, _cursor: object = None, size: int = 4) -> Iterator[list[tuple[bytes, bytes]]]:
        entries = list(self.entries.items())
        yield from (entries[at : at + size] for at in range(0, len(entries), size))


class FakeServers:
    """Two real servers of one service, which have numbers."""

    def __init__(self, method: Method, persistent: int = 0) -> None:
        policy = Policy("rr", (), persistent)
        self.service = VirtualService(ServiceKey(TCP, WEB), policy, make("rr"))
        self.servers = {number: RealServer(at, 1, method) for at, number in SERVER_NUMBERS.items()}
        self.time = OFFSET

    def now(self) -> float:
        return self.time

    def at(self, number: int) -> tuple[VirtualService, RealServer]:
        return self.service, self.servers[number]

    def number_of(self, server: RealServer) -> int:
        return next(number for number, one in self.servers.items() if one is server)


class Shared:
    """A table and templates over maps in this process."""

    def __init__(self, method: Method = Method.NAT, persistent: int = 0) -> None:
        self.rules = FakeServers(method, persistent)
        self.map, self.templates_map, self.sessions = FakeMap(), FakeMap(), FakeMap()
        self.totals = Totals(mmap.mmap(-1, mmap.PAGESIZE))
        clock, rules = KernelClock(self.rules.now, OFFSET), self.rules
        self.templates = SharedTemplates(self.templates_map, self.totals, rules, clock)  # type: ignore[arg-type]
        self.clock = clock
        self.table = self.next_table()

    def next_table(self) -> SharedTable:
        """That of another director, over the same maps."""
        entries, servers, sessions = (cast(Any, fake) for fake in (self.map, self.rules, self.sessions))
        kept = Sessions(sessions)
        return SharedTable(entries, self.totals, servers, self.templates, kept, self.clock, self.sweep, 8)

    def sweep(self) -> None:
        """What the program does now and then."""
        now = self.clock.nanoseconds(self.rules.time)
        for key, value in list(self.map.entries.items()):
            entry = shapes.Entry.of(value)
            if not entry.word & (shapes.REPLY | shapes.TOLD) and entry.expires <= now:
                protocol, client, _ = shapes.both(key)
                self.map.remove(key)
                self.map.remove(shapes.ends(protocol, entry.end, client))
                self.totals.add(-1)
