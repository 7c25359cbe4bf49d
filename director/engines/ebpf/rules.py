"""Services and real servers, as the program has them: written into its tables, and counted from them.

Every real server has a number, its place in the program's table, as long as a rule or a connection
refers to it. What a scheduler remembers (whose turn it is, how loaded a server is) is fetched
before the core needs it and brought back after: the program and the core decide in turns.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from director.core import ftp
from director.core.packet import TCP
from director.core.schedulers import dh, mh, rr, sh, wrr
from director.core.service import RealServer, VirtualService
from director.core.statistics import COUNTERS
from director.engines.ebpf import shapes
from director.engines.ebpf.libbpf.library import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.shapes import METHODS
from director.engines.engine import EngineError

KINDS = {"rr": 1, "wrr": 2, "lc": 3, "wlc": 4, "sed": 5, "nq": 6, "dh": 7, "sh": 8, "mh": 9}
_BY_CORE, _BY_TEMPLATE = 0, 10
_CHOOSING = frozenset(KINDS.values())
_FALLBACK, _PORT = 1, 2
_PLACE = 8  # bytes of a number in `members`, as memory
_TURN = slice(32, 40)  # of a service's value
_COUNTS = slice(32, 48)  # of a server's value
_OVERLOADED = slice(28, 32)


class Rules:
    def __init__(self, maps: dict[str, Map], clock: Callable[[], float]) -> None:
        self.now = clock
        self._services = maps["services"]
        self._counted = maps["counted"]
        self._servers, self._server_count = maps["servers"].mapped(), maps["servers"].size
        self._members, self._half = maps["members"].mapped(), maps["members"].size // 2
        self._upper_half = False
        self._numbers: dict[int, int] = {}  # by the identity of a server
        self._at: dict[int, tuple[VirtualService, RealServer]] = {}
        self._free: list[int] = []
        self._written: dict[bytes, bytes] = {}
        self._schedulers: dict[bytes, VirtualService] = {}
        self._seen: dict[int, tuple[int, int]] = {}  # connections, as they were when fetched last
        self._carried: dict[int, tuple[int, ...]] = {}  # counters, likewise

    def at(self, number: int) -> tuple[VirtualService, RealServer]:
        """Whose number it is."""
        return self._at[number]

    def number_of(self, server: RealServer) -> int:
        return self._numbers[id(server)]

    def numbers(self) -> Iterator[tuple[int, VirtualService, RealServer]]:
        return ((number, service, server) for number, (service, server) in self._at.items())

    # ---- written ----

    def write(self, services: Iterable[VirtualService], own_address_to: Callable[[str], str]) -> None:
        """What the program has to know of them all. Raises EngineError where they are too many."""
        services = list(services)
        self._number(services)
        for number, (_, server) in self._at.items():
            self._write_server(number, server, own_address_to(server.address.address))
        wanted = dict(self._entries(services))
        for key in self._written.keys() - wanted.keys():
            self._services.remove(key)
        try:
            for key, value in wanted.items():
                self._services.put(key, value)
        except BpfError as error:
            raise EngineError(
                f"The engine ebpf has room for {self._services.size} services ({error})."
            ) from None
        self._written = wanted

    def _number(self, services: Sequence[VirtualService]) -> None:
        """New servers get numbers; those that nobody refers to any more give theirs back."""
        known = {
            id(server): (service, server)
            for service in services
            for server in (*service.servers, *service.removed.values())
        }
        for number, (service, server) in list(self._at.items()):
            if id(server) not in known and not server.active + server.inactive + server.templates:
                self._give_back(number, server)
            else:
                self._at[number] = known.get(id(server), (service, server))
        for identity, (service, server) in known.items():
            if identity not in self._numbers:
                self.bind(self._next_free(), service, server)

    def _next_free(self) -> int:
        number = self._free.pop() if self._free else len(self._at)
        if number >= self._server_count:
            raise EngineError(f"The engine ebpf has room for {self._server_count} real servers.")
        return number

    def bind(self, number: int, service: VirtualService, server: RealServer) -> None:
        """Let a server have that number."""
        self._numbers[id(server)] = number
        self._at[number] = service, server
        self._seen[number] = 0, 0
        self._carried[number] = (0,) * len(COUNTERS)

    def reserve(self, numbers: Iterable[int]) -> None:
        """Those between the numbers that are bound are free."""
        taken = set(numbers)
        self._free = [number for number in range(max(taken, default=-1)) if number not in taken]

    def _give_back(self, number: int, server: RealServer) -> None:
        del self._at[number], self._numbers[id(server)], self._seen[number], self._carried[number]
        size = shapes.SERVER.size
        self._servers[number * size : (number + 1) * size] = bytes(size)
        self._counted.clear_per_processor(number)
        self._free.append(number)

    def _write_server(self, number: int, server: RealServer, own: str) -> None:
        """All but the connections, which are the program's to count."""
        start = number * shapes.SERVER.size
        there = server.address
        value = shapes.SERVER.pack(
            shapes.address(there.address),
            shapes.port(there.port),
            METHODS.index(server.method),
            shapes.address(own),
            int(server.listed),
            server.weight,
            server.upper,
            server.lower,
            int(server.overloaded),
            *(0, 0, 0, 0),
        )
        self._servers[start : start + _COUNTS.start] = value[: _COUNTS.start]

    def _entries(self, services: Sequence[VirtualService]) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of services; their servers and places go to the half that is not in use."""
        self._upper_half = not self._upper_half
        begin = self._half if self._upper_half else 1  # no region begins at 0, which means none
        place = begin
        self._schedulers = {}
        for service in services:
            if service.key.mark or not service.key.address.port:
                continue
            kind = _kind(service)
            first, places = place, 0
            if kind in _CHOOSING:
                place = self._put_members(first, service.servers)
                hashed = _places(service)
                if hashed:
                    places, place = place, self._put_members(place, hashed)
            key = _key(service)
            if kind in _CHOOSING:
                self._schedulers[key] = service
            top, step, turn = _turn(service)
            mask = shapes.address(service.policy.netmask)
            value = (kind, _flags(service), first, len(service.servers), places, top, step, mask, turn)
            yield key, shapes.SERVICE.pack(*value)

    def _put_members(self, place: int, servers: Sequence[RealServer]) -> int:
        """The place behind them."""
        end = place + len(servers)
        if end > (2 if self._upper_half else 1) * self._half:
            raise EngineError(f"The engine ebpf has room for {self._half} places of servers in services.")
        numbers = array("Q", (self._numbers[id(server)] for server in servers))
        self._members[place * _PLACE : end * _PLACE] = numbers.tobytes()
        return end

    # ---- fetched and brought back ----

    def fetch(self) -> None:
        """Let the core know what the program has counted, and whose turn it is."""
        for number, (service, server) in self._at.items():
            self._fetch_load(number, server)
            self._fetch_counters(number, service, server)
        for key, service in self._schedulers.items():
            self._fetch_turn(key, service)

    def fetch_for(self, service: VirtualService | None) -> None:
        """The same for one service, as far as its scheduler needs it."""
        if service is None:
            return
        for server in service.servers:
            self._fetch_load(self._numbers[id(server)], server)
        key = _key(service)
        if key in self._schedulers:
            self._fetch_turn(key, service)

    def bring_back(self, service: VirtualService | None) -> None:
        """What the core has changed by deciding for a service."""
        if service is None:
            return
        for server in (*service.servers, *service.removed.values()):
            self._bring_back_load(self._numbers[id(server)], server)
        key = _key(service)
        value = self._services.get(key) if key in self._schedulers else None
        if value is not None:
            turn = _turn(service)[2].to_bytes(8, sys.byteorder)
            if value[_TURN] != turn:
                self._services.put(key, value[: _TURN.start] + turn + value[_TURN.stop :])

    def bring_all_back(self) -> None:
        """What the time has changed."""
        for number, (_, server) in self._at.items():
            self._bring_back_load(number, server)

    def _fetch_load(self, number: int, server: RealServer) -> None:
        self._bring_back_load(number, server)
        *_, overloaded, active, inactive, core_active, core_inactive = self._values(number)
        server.active, server.inactive = active + core_active, inactive + core_inactive
        server.overloaded = bool(overloaded)
        self._seen[number] = server.active, server.inactive

    def _bring_back_load(self, number: int, server: RealServer) -> None:
        """The core's own changes are counted apart: the program adds to its counters at any time."""
        seen = self._seen[number]
        if (server.active, server.inactive) == seen:
            return
        values = list(self._values(number))
        values[-2] += server.active - seen[0]
        values[-1] += server.inactive - seen[1]
        values[-5] = int(server.overloaded)
        start = number * shapes.SERVER.size
        packed = shapes.SERVER.pack(*values)
        self._servers[start + _COUNTS.start + 8 : start + _COUNTS.stop] = packed[_COUNTS.start + 8 :]
        self._servers[start + _OVERLOADED.start : start + _OVERLOADED.stop] = packed[_OVERLOADED]
        self._seen[number] = server.active, server.inactive

    def _values(self, number: int) -> tuple[Any, ...]:
        return shapes.SERVER.unpack_from(self._servers, number * shapes.SERVER.size)

    def _fetch_counters(self, number: int, service: VirtualService, server: RealServer) -> None:
        now = self._counters(number)
        for name, count, before in zip(COUNTERS, now, self._carried[number], strict=True):
            if count != before:
                for stats in (server.stats, service.stats):
                    setattr(stats, name, getattr(stats, name) + count - before)
        self._carried[number] = now

    def _counters(self, number: int) -> tuple[int, ...]:
        """Connections, packets and bytes, of all processors."""
        values = self._counted.per_processor(number)
        each = shapes.COUNTED.iter_unpack(values)
        return tuple(sum(column) for column in zip(*each, strict=True))

    def totals(self) -> tuple[int, ...]:
        """The same of all servers together."""
        if not self._at:
            return (0,) * len(COUNTERS)
        return tuple(sum(column) for column in zip(*map(self._counters, self._at), strict=True))

    def _fetch_turn(self, key: bytes, service: VirtualService) -> None:
        value = self._services.get(key)
        if value is None:
            return
        turn = shapes.SERVICE.unpack(value)[-1]
        place, bar = turn & 0xFFFFFFFF, turn >> 32
        place = -1 if place == 0xFFFFFFFF else place
        if isinstance(service.scheduler, rr.Scheduler):
            service.scheduler.last = place
        elif isinstance(service.scheduler, wrr.Scheduler):
            service.scheduler.place, service.scheduler.bar = place, bar


def _key(service: VirtualService) -> bytes:
    there = service.key.address
    return shapes.SERVICE_KEY.pack(
        shapes.address(there.address), shapes.port(there.port), service.key.protocol
    )


def _kind(service: VirtualService) -> int:
    """Which of the program's schedulers serves it."""
    policy, key = service.policy, service.key
    is_ftp = key.protocol == TCP and key.address.port == ftp.CONTROL_PORT
    if policy.one_packet or is_ftp:
        return _BY_CORE
    if policy.persistent:
        return _BY_TEMPLATE
    return KINDS.get(policy.scheduler_name, _BY_CORE)


def _flags(service: VirtualService) -> int:
    scheduler = service.scheduler
    fallback = _FALLBACK if getattr(scheduler, "fallback", False) else 0
    return fallback | (_PORT if getattr(scheduler, "port", False) else 0)


def _places(service: VirtualService) -> Sequence[RealServer]:
    """The table of a hashing scheduler; empty for others."""
    if isinstance(service.scheduler, dh.Scheduler | sh.Scheduler):
        return service.scheduler.places
    if isinstance(service.scheduler, mh.Scheduler):
        return service.scheduler.places_for(service.servers)
    return ()


def _turn(service: VirtualService) -> tuple[int, int, int]:
    """wrr's top and step, and whose turn it was: rr's and wrr's."""
    scheduler = service.scheduler
    if isinstance(scheduler, rr.Scheduler):
        return 0, 0, scheduler.last & 0xFFFFFFFF
    if isinstance(scheduler, wrr.Scheduler):
        return scheduler.top, scheduler.step, scheduler.bar << 32 | scheduler.place & 0xFFFFFFFF
    return 0, 0, 0
