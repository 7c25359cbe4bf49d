"""Virtual services, as the program has them: written into its tables with their servers' numbers.

Whose turn it is, which a scheduler remembers, is fetched before the core needs it and brought back
after: the program and the core decide in turns.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

from director.core import ftp
from director.core.packet import TCP
from director.core.real_server import RealServer
from director.core.schedulers import dh, mh, rr, sh, wrr
from director.core.service import VirtualService
from director.engines.ebpf import layouts
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.servers import Servers
from director.engines.engine import EngineError

SCHEDULERS = {"rr": 1, "wrr": 2, "lc": 3, "wlc": 4, "sed": 5, "nq": 6, "dh": 7, "sh": 8, "mh": 9}
_BY_CORE, _BY_TEMPLATE = 0, 10
_IN_PROGRAM = frozenset(SCHEDULERS.values())
_FALLBACK, _PORT = 1, 2
_PLACE = 8  # bytes of a number in `members`, as memory
_POSITION = slice(32, 40)  # of a service's value


class Rules:
    def __init__(self, maps: dict[str, Map], servers: Servers) -> None:
        self._servers = servers
        self._services = maps["services"]
        self._members, self._half = maps["members"].mapped(), maps["members"].size // 2
        self._upper_half = False
        self._written: dict[bytes, bytes] = {}
        self._schedulers: dict[bytes, VirtualService] = {}

    # ---- written ----

    def write(self, services: Iterable[VirtualService], own_address_to: Callable[[str], str]) -> None:
        """What the program has to know of them all.

        Raises EngineError where they are too many, with nothing changed.
        """
        services = list(services)
        written = [one for one in services if not one.key.mark and one.key.address.port]
        self._check_room(written)
        self._servers.assign_numbers(services)
        self._servers.write(own_address_to)
        wanted = dict(self._entries(written))
        for key in self._written.keys() - wanted.keys():
            self._services.remove(key)
            del self._written[key]
        try:
            for key, value in wanted.items():
                self._services.put(key, value)
                self._written[key] = value
        except BpfError as error:  # out of memory; the next call puts it right
            raise EngineError(f"The engine ebpf can't write its services ({error}).") from None
        self._upper_half = not self._upper_half
        self._schedulers = {_key(one): one for one in written if _kind(one) in _IN_PROGRAM}

    def _check_room(self, services: Sequence[VirtualService]) -> None:
        """Raises EngineError."""
        if len(services) > self._services.size:
            raise EngineError(f"The engine ebpf has room for {self._services.size} services.")
        choosing = [one for one in services if _kind(one) in _IN_PROGRAM]
        if 1 + sum(len(one.servers) + len(_places(one)) for one in choosing) > self._half:
            raise EngineError(f"The engine ebpf has room for {self._half} places of servers in services.")

    def _entries(self, services: Sequence[VirtualService]) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of services; their servers and places go to the half that is not in use."""
        place = 1 if self._upper_half else self._half  # no region begins at 0, which means none
        for service in services:
            kind = _kind(service)
            first, places = place, 0
            if kind in _IN_PROGRAM:
                place = self._put_members(first, service.servers)
                hashed = _places(service)
                if hashed:
                    places, place = place, self._put_members(place, hashed)
            top, step, turn = _turn(service)
            mask = layouts.address(service.policy.netmask)
            value = (kind, _flags(service), first, len(service.servers), places, top, step, mask, turn)
            yield _key(service), layouts.SERVICE.pack(*value)

    def _put_members(self, place: int, servers: Sequence[RealServer]) -> int:
        """The place behind them."""
        end = place + len(servers)
        numbers = array("Q", map(self._servers.number_of, servers))
        self._members[place * _PLACE : end * _PLACE] = numbers.tobytes()
        return end

    # ---- fetched and brought back ----

    def adopt(self, services: Iterable[VirtualService]) -> None:
        """Whose turn it is, as an earlier director has left it."""
        for service in services:
            if _kind(service) in _IN_PROGRAM:
                self._fetch_position(_key(service), service)

    def fetch(self) -> None:
        """Let the core know what the program has counted, and whose turn it is."""
        self._servers.fetch()
        for key, service in self._schedulers.items():
            self._fetch_position(key, service)

    def fetch_for(self, service: VirtualService | None) -> None:
        """The same for one service, as far as its scheduler needs it."""
        if service is None:
            return
        self._servers.fetch_loads(service.servers)
        key = _key(service)
        if key in self._schedulers:
            self._fetch_position(key, service)

    def write_back(self, service: VirtualService | None) -> None:
        """What the core has changed by deciding for a service."""
        if service is None:
            return
        self._servers.write_back((*service.servers, *service.removed.values()))
        key = _key(service)
        value = self._services.get(key) if key in self._schedulers else None
        if value is not None:
            turn = _turn(service)[2].to_bytes(8, sys.byteorder)
            if value[_POSITION] != turn:
                self._services.put(key, value[: _POSITION.start] + turn + value[_POSITION.stop :])

    def _fetch_position(self, key: bytes, service: VirtualService) -> None:
        value = self._services.get(key)
        if value is None:
            return
        turn = layouts.SERVICE.unpack(value)[-1]
        place, bar = turn & 0xFFFFFFFF, turn >> 32
        place = -1 if place == 0xFFFFFFFF else place
        if isinstance(service.scheduler, rr.Scheduler):
            service.scheduler.last = place
        elif isinstance(service.scheduler, wrr.Scheduler):
            service.scheduler.place, service.scheduler.bar = place, bar


def _key(service: VirtualService) -> bytes:
    there = service.key.address
    return layouts.SERVICE_KEY.pack(
        layouts.address(there.address), layouts.port(there.port), service.key.protocol
    )


def _kind(service: VirtualService) -> int:
    """Which of the program's schedulers serves it."""
    policy, key = service.policy, service.key
    is_ftp = key.protocol == TCP and key.address.port == ftp.CONTROL_PORT
    if policy.one_packet or is_ftp:
        return _BY_CORE
    if policy.persistent:
        return _BY_TEMPLATE
    return SCHEDULERS.get(policy.scheduler_name, _BY_CORE)


def _flags(service: VirtualService) -> int:
    scheduler = service.scheduler
    fallback = _FALLBACK if getattr(scheduler, "fallback", False) else 0
    return fallback | (_PORT if getattr(scheduler, "port", False) else 0)


def _places(service: VirtualService) -> Sequence[RealServer]:
    """The table of a hashing scheduler; empty for others."""
    if isinstance(service.scheduler, dh.Scheduler | mh.Scheduler | sh.Scheduler):
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
