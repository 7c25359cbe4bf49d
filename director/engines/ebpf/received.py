"""Connections from another director, which the program in the kernel enters.

A message has 40 of them. The core finds their real servers, most of which it knows from earlier messages; the
program looks up each connection and writes or changes its entries, as the core's Receiver would. It leaves to
the core what only that can do: ftp, firewall marks, connections that the core owns, or a full table.
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
_MAX_RECORDS = 255  # of struct received: servers, then records
_NO_SERVER = 0xFFFFFFFF
_MAX_KNOWN = 65536
_ServerFields = tuple[bytes, bytes, bytes]


class Received:
    """The core calls `enter`."""

    def __init__(self, programs: Programs, memory: mmap.mmap, rules: Rules, servers: Servers) -> None:
        self._programs = programs
        self._memory = memory
        self._rules = rules
        self._servers = servers
        self._numbers: dict[_ServerFields, int] = {}

    def __deepcopy__(self, _memo: object) -> Received:
        """A copy of a director, such as a dry run's, receives nothing."""
        return self

    def rules_changed(self) -> None:
        self._numbers.clear()

    def enter(
        self, message: Plain, first: int, limit: int, find: Callable[[SyncRecord], Found]
    ) -> tuple[int, int]:
        """See `Enter` in core/sync.py. Raises BpfError."""
        wanted = list(message.server_fields())
        try:
            numbers = [self._numbers[server] for server in wanted]
        except KeyError:
            numbers = list(self._learn(message, wanted, find))
        if numbers[first] == _NO_SERVER:
            return 0, first
        packed = array("I", numbers).tobytes()
        self._memory[: len(packed)] = packed
        start = 4 * _MAX_RECORDS
        self._memory[start : start + len(message.records)] = message.records
        packets = min(self._rules.sysctls.sync_threshold, MAX_PACKETS)
        context = _ENTERING.pack(max(0, limit), first, message.number, packets, 0)
        after, context = self._programs.enter(message.family, context)
        *_, entered = _ENTERING.unpack(context)
        return entered, after

    def _learn(
        self, message: Plain, wanted: Iterable[_ServerFields], find: Callable[[SyncRecord], Found]
    ) -> Iterator[int]:
        if len(self._numbers) > _MAX_KNOWN:
            self._numbers.clear()
        for at, server in enumerate(wanted):
            record = message.record(at)
            if server not in self._numbers and record is not None:
                self._numbers[server] = self._find(record, find)
            yield self._numbers.get(server, _NO_SERVER)

    def _find(self, record: SyncRecord, find: Callable[[SyncRecord], Found]) -> int:
        found = find(record)
        if found is None or record.vip.port == ftp.CONTROL_PORT:
            return _NO_SERVER
        service, server = found
        if service.key.mark or family_of(server.address.address) is not record.family:
            return _NO_SERVER
        return self._servers.number_of(server)
