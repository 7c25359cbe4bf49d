"""What the next director needs if this one is killed, kept in the program's maps.

`checkpoint` holds the rules as JSON: the commands that create them. Connections are in a map of their
own and refer to real servers by number, so the numbers are in it too, also those of servers and services
that were deleted while connections remain. Counters of servers are in maps; those of a service are in
the JSON, and have grown since by as much as its servers'.

`ftp_sessions` holds the core's sessions of ftp control connections. An entry is written before the packet
that changed it is sent: no client knows a sequence number that the next director would not.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from struct import Struct
from typing import Any

from director.core.commands import (
    AddMark,
    AddServer,
    AddService,
    Command,
    DeleteServer,
    DeleteService,
    SetSysctl,
    SetTimeouts,
)
from director.core.director import Director
from director.core.errors import LvsError
from director.core.ftp import Session
from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.statistics import COUNTERS
from director.core.tcp_stream import MAX_EDITS, MAX_LINE, Edit, Edits, KnownShift, LineReader
from director.engines.ebpf.by_family import FamilyMaps
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.servers import Servers
from director.engines.engine import EngineError
from director.formats.command_json import decode, encode

_LENGTH = 8  # bytes before the text
Json = dict[str, Any]


class UnreadableCheckpoint(EngineError):
    """The map does not hold what `save` writes."""


# ---- saving the rules ----


def save(director: Director, servers: Servers, chunks: Map) -> None:
    """Write rules, marks and settings. Raises EngineError if they do not fit."""
    current = {id(service): service for service in director.rules}
    services = {**current, **{id(service): service for _, service, _ in servers.numbered()}}
    deleted = [(service, server) for _, service, server in servers.numbered() if not server.configured]
    content = {
        "create": [encode(command) for command in _commands(director, services.values(), deleted)],
        "servers": [
            [number, encode(DeleteServer(service.key, server.address)), server.stats.counts()]
            for number, service, server in servers.numbered()
        ],
        "services": [
            [encode(DeleteService(service.key)), service.stats.counts()] for service in services.values()
        ],
        "delete": [
            *(encode(DeleteServer(service.key, server.address)) for service, server in deleted),
            *(encode(DeleteService(service.key)) for key, service in services.items() if key not in current),
        ],
    }
    _write(zlib.compress(json.dumps(content).encode(), 1), chunks)


def _commands(
    director: Director,
    services: Iterable[VirtualService],
    deleted: Iterable[tuple[VirtualService, RealServer]],
) -> Iterator[Command]:
    """The commands that create these services with their servers, `deleted` ones included."""
    deleted_of: dict[int, list[RealServer]] = {}
    for service, server in deleted:
        deleted_of.setdefault(id(service), []).append(server)
    rules = director.rules
    for name, value in rules.sysctls.changes():
        yield SetSysctl(name, value)
    timeouts = rules.timeouts
    yield SetTimeouts(tcp=int(timeouts.established), tcpfin=int(timeouts.fin_wait), udp=int(timeouts.udp))
    for mark in rules.marks:
        yield AddMark(mark.mark, str(mark.network), mark.protocol, mark.first, mark.last)
    for service in services:
        policy = service.policy
        yield AddService(
            service.key,
            policy.scheduler_name,
            policy.flags,
            policy.persistent,
            policy.netmask,
            policy.one_packet,
        )
        configured = (server for server in reversed(service.servers) if server.configured)
        for server in (*deleted_of.get(id(service), ()), *configured):
            thresholds = server.upper, server.lower
            yield AddServer(service.key, server.address, server.weight, server.requested_method, *thresholds)


def _write(data: bytes, chunks: Map) -> None:
    whole = len(data).to_bytes(_LENGTH, sys.byteorder) + data
    size = chunks.value_size
    if len(whole) > size * chunks.size:
        raise EngineError(
            f"The ebpf engine has room for {size * chunks.size} bytes of rules, and these have {len(whole)}: "
            "use fewer rules, or --engine scapy."
        )
    try:
        for index, start in enumerate(range(0, len(whole), size)):
            chunks.put(_chunk_key(index), whole[start : start + size].ljust(size, b"\0"))
    except BpfError as error:
        raise EngineError(f"The ebpf engine has no room to checkpoint these rules ({error}).") from None


def _chunk_key(index: int) -> bytes:
    return index.to_bytes(4, sys.byteorder)


# ---- restoring them ----


def restore(director: Director, servers: Servers, chunks: Map, now: float) -> None:
    """Give the director the rules of an earlier one. Raises UnreadableCheckpoint."""
    try:
        content = _read(chunks)
        if content is None:
            return
        director.apply([decode(command) for command in content["create"]], now)
        _restore_services(director, content["services"])
        _restore_servers(director, servers, content["servers"])
        director.apply([decode(command) for command in content["delete"]], now)
    except (KeyError, LvsError, TypeError, ValueError, zlib.error) as error:
        raise UnreadableCheckpoint(f"The rules of an earlier director can't be read ({error}).") from None


def _read(chunks: Map) -> Json | None:
    """The content; None if nothing was written."""
    parts: list[bytes] = []
    while (part := chunks.get(_chunk_key(len(parts)))) is not None:
        parts.append(part)
    whole = b"".join(parts)
    size = int.from_bytes(whole[:_LENGTH], sys.byteorder)
    if not size:
        return None
    content: Json = json.loads(zlib.decompress(whole[_LENGTH : _LENGTH + size]))
    return content


def _restore_services(director: Director, rows: Iterable[Sequence[Any]]) -> None:
    """Services' counters, as they were written."""
    services = {service.key: service for service in director.rules}
    for encoded, counters in rows:
        name = decode(encoded)
        if not isinstance(name, DeleteService):
            raise ValueError(f"services: expected a service, got {encoded}")
        services[name.key].stats.resume(_checked(counters))


def _restore_servers(director: Director, servers: Servers, rows: Sequence[Sequence[Any]]) -> None:
    """Servers' numbers and counters; a service's counters grow by as much as its servers' have grown."""
    services = {service.key: service for service in director.rules}
    for number, *_ in rows:
        if type(number) is not int or not 0 <= number < servers.capacity:
            raise ValueError(f"servers: expected a number below {servers.capacity}, got {number!r}")
    servers.reserve(number for number, *_ in rows)
    for number, encoded, *counters in rows:
        name = decode(encoded)
        service = services[name.key] if isinstance(name, DeleteServer) else None
        server = service and isinstance(name, DeleteServer) and service.server(name.server)
        if not service or not server:
            raise ValueError(f"servers: expected a real server of a service, got {encoded}")
        servers.bind(number, service, server)
        servers.resume_counters(number)
        before = _checked(*counters) if counters else (0,) * len(COUNTERS)
        growth = map(int.__sub__, server.stats.counts(), before)
        service.stats.resume(map(int.__add__, service.stats.counts(), growth))
    servers.fetch()


def _checked(counters: Any) -> Sequence[int]:
    if [type(counter) for counter in counters] != [int] * len(COUNTERS):
        raise ValueError(f"expected {len(COUNTERS)} counters, got {counters}")
    return list(counters)


# ---- ftp control connections ----

# Whether anything was read, position, start; the unfinished line: its length, its text.
_READER = Struct(f"=?IIH{MAX_LINE}s")
_EDIT = Struct("=IHB23s")  # start, length; what replaced it: its length, its text
_REST = Struct("=?IiB")  # whether anything was sent, up to where; growth of the stream, number of edits
_SHIFT = Struct("=?Ii")  # whether another director has sent one; where it begins, its growth
SESSION_SIZE = 2 * _READER.size + _REST.size + _SHIFT.size + MAX_EDITS * _EDIT.size


class FtpSessions:
    """Sessions by the flow key of the control connection's requests."""

    def __init__(self, entries: FamilyMaps) -> None:
        self._map = entries

    def save(self, key: bytes, session: Session) -> None:
        with suppress(BpfError):  # the map is full: the next director can't continue this session
            self._map.put(key, pack_session(session))

    def find(self, key: bytes) -> Session | None:
        value = self._map.get(key)
        return None if value is None else unpack_session(value)

    def delete(self, key: bytes) -> None:
        self._map.remove(key)


def pack_session(session: Session) -> bytes:
    """SESSION_SIZE bytes."""
    edits, shift = session.edits, session.edits.shift
    packed = b"".join(
        (
            *map(_pack_reader, (session.commands, session.replies)),
            _REST.pack(session.sent is not None, session.sent or 0, edits.settled, len(edits.remembered)),
            _SHIFT.pack(shift is not None, shift.start if shift else 0, shift.growth if shift else 0),
            *(_EDIT.pack(edit.start, edit.length, len(edit.text), edit.text) for edit in edits.remembered),
        )
    )
    return packed.ljust(SESSION_SIZE, b"\0")


def unpack_session(value: bytes) -> Session:
    commands, replies = (_unpack_reader(value, offset) for offset in (0, _READER.size))
    offset = 2 * _READER.size
    begun, sent, settled, count = _REST.unpack_from(value, offset)
    edits = Edits(settled=settled)
    offset += _REST.size
    shifted, start, growth = _SHIFT.unpack_from(value, offset)
    if shifted:
        edits.shift = KnownShift(start, settled, growth)
    offset += _SHIFT.size
    for number in range(count):
        start, length, size, text = _EDIT.unpack_from(value, offset + number * _EDIT.size)
        edits.remembered.append(Edit(start, length, text[:size]))
    return Session(commands, replies, edits, sent if begun else None)


def _pack_reader(reader: LineReader) -> bytes:
    text = reader.unfinished
    return _READER.pack(reader.position is not None, reader.position or 0, reader.start, len(text), text)


def _unpack_reader(value: bytes, offset: int) -> LineReader:
    begun, position, start, size, text = _READER.unpack_from(value, offset)
    return LineReader(position if begun else None, start, text[:size])
