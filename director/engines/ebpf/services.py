"""Virtual services in the program's maps, and the positions of their schedulers.

rr and wrr remember whose turn it is, and the program and the core schedule in turns: the position is
fetched before the core needs it, and written back afterwards.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from director.core import ftp
from director.core.family import family_of
from director.core.packet import TCP
from director.core.real_server import RealServer
from director.core.schedulers import rr, wrr
from director.core.schedulers._tables import hash_table
from director.core.service import VirtualService
from director.engines.ebpf import layouts
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.servers import Servers
from director.engines.engine import EngineError

# enum scheduler in maps.h: those that run in the program, and the others.
SCHEDULERS = {"rr": 1, "wrr": 2, "lc": 3, "wlc": 4, "sed": 5, "nq": 6, "dh": 7, "sh": 8, "mh": 9}
_BY_CORE, _BY_TEMPLATE = 0, 10
_IN_PROGRAM = frozenset(SCHEDULERS.values())
_FALLBACK, _PORT = 1, 2  # SCHED_FALLBACK, SCHED_PORT
_MEMBER_SIZE = 8  # bytes of a server's number in `members`, as mapped memory
_POSITION = slice(-8, None)  # of a service
_START = 0xFFFFFFFF  # a position before the first member


class Services:
    """The members and hash tables of all services fill one half of `members`; the next write fills the other.

    So the program never sees the members of a service half written.
    """

    def __init__(self, maps: Mapping[str, Any], servers: Servers) -> None:
        self._servers = servers
        self._map = maps["services"]
        self._members, self._half = maps["members"].mapped(), maps["members"].size // 2
        self._upper_half = False
        self._written: dict[bytes, bytes] = {}
        self._scheduled: dict[bytes, VirtualService] = {}  # those whose scheduler runs in the program

    # ---- written ----

    def write(self, services: Iterable[VirtualService], source_address_to: Callable[[str], str]) -> None:
        """Write all services and their servers.

        Raises EngineError if there are too many; then nothing has changed.
        """
        services = list(services)
        exact = [service for service in services if not service.key.mark and service.key.address.port]
        self._check_capacity(exact)
        self._servers.assign_numbers(services)
        self._servers.write(source_address_to)
        wanted = dict(self._entries(exact))
        for key in self._written.keys() - wanted.keys():
            self._map.remove(key)
            del self._written[key]
        try:
            for key, value in wanted.items():
                self._map.put(key, value)
                self._written[key] = value
        except BpfError as error:  # out of memory; the next call repairs it
            raise EngineError(f"The ebpf engine can't write its services ({error}).") from None
        self._upper_half = not self._upper_half
        self._scheduled = {_key(service): service for service in exact if _scheduler(service) in _IN_PROGRAM}

    def _check_capacity(self, services: Sequence[VirtualService]) -> None:
        """Raises EngineError."""
        if len(services) > self._map.size:
            raise EngineError(
                f"The ebpf engine has room for {self._map.size} services: use fewer, or --engine scapy."
            )
        scheduled = [service for service in services if _scheduler(service) in _IN_PROGRAM]
        if 1 + sum(len(service.servers) + len(hash_table(service)) for service in scheduled) > self._half:
            raise EngineError(
                f"The ebpf engine has room for {self._half} servers and hash buckets of services: use "
                "fewer, or --engine scapy."
            )

    def _entries(self, services: Sequence[VirtualService]) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values; members and hash tables are written to the half that is not in use."""
        index = 1 if self._upper_half else self._half  # never 0, which means no hash table
        for service in services:
            scheduler = _scheduler(service)
            first_member, first_bucket = index, 0
            if scheduler in _IN_PROGRAM:
                index = self._put_members(index, service.servers)
                table = hash_table(service)
                if table:
                    first_bucket, index = index, self._put_members(index, table)
            value = layouts.OF[service.key.family].service.pack(
                scheduler,
                _flags(service),
                first_member,
                len(service.servers),
                first_bucket,
                *_weights(service),
                layouts.netmask(service.key.family, service.policy.netmask),
                _position(service),
            )
            yield _key(service), value

    def _put_members(self, index: int, servers: Sequence[RealServer]) -> int:
        """Returns the index after the last of them."""
        end = index + len(servers)
        numbers = array("Q", map(self._servers.number_of, servers))
        self._members[index * _MEMBER_SIZE : end * _MEMBER_SIZE] = numbers.tobytes()
        return end

    # ---- fetched and written back ----

    def adopt(self, services: Iterable[VirtualService]) -> None:
        """Fetch the positions that an earlier director's program has left."""
        for service in services:
            if _scheduler(service) in _IN_PROGRAM:
                self._fetch_position(_key(service), service)

    def fetch(self) -> None:
        """Fetch all positions, loads and counters."""
        self._servers.fetch()
        for key, service in self._scheduled.items():
            self._fetch_position(key, service)

    def fetch_for(self, service: VirtualService | None) -> None:
        """Fetch what the scheduler of one service needs."""
        if service is None:
            return
        self._servers.fetch_loads(service.servers)
        key = _key(service)
        if key in self._scheduled:
            self._fetch_position(key, service)

    def write_back(self, service: VirtualService | None) -> None:
        """Write what a decision of the core has changed in a service."""
        if service is None:
            return
        self._servers.write_back((*service.servers, *service.removed.values()))
        key = _key(service)
        value = self._map.get(key) if key in self._scheduled else None
        if value is not None:
            position = _position(service).to_bytes(8, sys.byteorder)
            if value[_POSITION] != position:
                self._map.put(key, value[: _POSITION.start] + position)

    def _fetch_position(self, key: bytes, service: VirtualService) -> None:
        value = self._map.get(key)
        if value is None:
            return
        position = int.from_bytes(value[_POSITION], sys.byteorder)
        index, current_weight = position & 0xFFFFFFFF, position >> 32
        index = -1 if index == _START else index
        if isinstance(service.scheduler, rr.Scheduler):
            service.scheduler.position = index
        elif isinstance(service.scheduler, wrr.Scheduler):
            service.scheduler.position, service.scheduler.current_weight = index, current_weight


def _key(service: VirtualService) -> bytes:
    return layouts.service_key(service.key.address, service.key.protocol)


def _scheduler(service: VirtualService) -> int:
    policy, key = service.policy, service.key
    is_ftp = key.protocol == TCP and key.address.port == ftp.CONTROL_PORT
    is_mixed = any(family_of(server.address.address) is not key.family for server in service.servers)
    if policy.one_packet or is_ftp or is_mixed:
        return _BY_CORE
    if policy.persistent:
        return _BY_TEMPLATE
    return SCHEDULERS.get(policy.scheduler_name, _BY_CORE)


def _flags(service: VirtualService) -> int:
    scheduler = service.scheduler
    fallback = _FALLBACK if getattr(scheduler, "fallback", False) else 0
    return fallback | (_PORT if getattr(scheduler, "port", False) else 0)


def _weights(service: VirtualService) -> tuple[int, int]:
    """wrr's greatest current weight, and by how much it falls."""
    scheduler = service.scheduler
    return (scheduler.max_weight, scheduler.step) if isinstance(scheduler, wrr.Scheduler) else (0, 0)


def _position(service: VirtualService) -> int:
    """rr's and wrr's: the index of the last member, and above it wrr's current weight."""
    scheduler = service.scheduler
    if isinstance(scheduler, rr.Scheduler):
        return scheduler.position & _START
    if isinstance(scheduler, wrr.Scheduler):
        return scheduler.current_weight << 32 | scheduler.position & _START
    return 0
