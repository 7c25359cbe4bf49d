"""Connections that another director tells of, entered by the program in the kernel.

A message has 40 of them. The core finds their real servers, most of which it knows from the message before;
the program looks for each connection and writes or moves its entries, as the core's Receiver would. What
only the core can do, it leaves: ftp, firewall marks, connections that the core owns, or a full table.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable, Iterable, Iterator
from struct import Struct

from director.core import ftp
from director.core.family import family_of
from director.core.rules import Rules
from director.core.sync import Found
from director.core.sync_protocol import Plain, SyncRecord
from director.engines.ebpf.by_family import Programs
from director.engines.ebpf.layouts import MAX_PACKETS
from director.engines.ebpf.servers import Servers

_ENTERING = Struct("=Q4I")  # struct entering
_MOST_RECORDS = 255  # of struct received: servers, then records
_NO_PLACE = 0xFFFFFFFF
_MOST_PLACES = 65536
_Place = tuple[bytes, bytes, bytes]


class Received:
    """`enter` is what the core calls."""

    def __init__(self, programs: Programs, memory: mmap.mmap, rules: Rules, servers: Servers) -> None:
        self._programs = programs
        self._memory = memory
        self._rules = rules
        self._servers = servers
        self._places: dict[_Place, int] = {}

    def __deepcopy__(self, _memo: object) -> Received:
        """A copy of a director, such as a dry run's, receives nothing."""
        return self

    def rules_changed(self) -> None:
        self._places.clear()

    def enter(
        self, message: Plain, first: int, limit: int, find: Callable[[SyncRecord], Found]
    ) -> tuple[int, int]:
        """See `Enter` in core/sync.py. Raises BpfError."""
        wanted = list(message.places())
        try:
            places = [self._places[place] for place in wanted]
        except KeyError:
            places = list(self._learn(message, wanted, find))
        if places[first] == _NO_PLACE:
            return 0, first
        numbers = array("I", places).tobytes()
        self._memory[: len(numbers)] = numbers
        start = 4 * _MOST_RECORDS
        self._memory[start : start + len(message.records)] = message.records
        packets = min(self._rules.sysctls.sync_threshold, MAX_PACKETS)
        context = _ENTERING.pack(max(0, limit), first, message.number, packets, 0)
        after, context = self._programs.enter(message.family, context)
        *_, entered = _ENTERING.unpack(context)
        return entered, after

    def _learn(
        self, message: Plain, wanted: Iterable[_Place], find: Callable[[SyncRecord], Found]
    ) -> Iterator[int]:
        if len(self._places) > _MOST_PLACES:
            self._places.clear()
        for at, place in enumerate(wanted):
            record = message.record(at)
            if place not in self._places and record is not None:
                self._places[place] = self._find(record, find)
            yield self._places.get(place, _NO_PLACE)

    def _find(self, record: SyncRecord, find: Callable[[SyncRecord], Found]) -> int:
        found = find(record)
        if found is None or record.vip.port == ftp.CONTROL_PORT:
            return _NO_PLACE
        service, server = found
        if service.key.mark or family_of(server.address.address) is not record.family:
            return _NO_PLACE
        return self._servers.number_of(server)
