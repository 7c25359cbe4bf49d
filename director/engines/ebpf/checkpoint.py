"""The rules as text in one of the program's tables: what the next director needs, should this one die.

They are commands, which make them again. Connections are in tables of their own and refer to real
servers by numbers: those are written down as well, also for rules that were deleted while
connections remain. Servers' counters are in tables, too; a service's have grown since as its servers' have.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.statistics import COUNTERS
from director.engines.ebpf.libbpf.library import BpfError
from director.engines.ebpf.libbpf.maps import Map
from director.engines.ebpf.servers import Servers
from director.engines.engine import EngineError
from director.formats.command_json import decode, encode

_LENGTH = 8  # bytes in front of the text
Json = dict[str, Any]


class UnreadableCheckpoint(EngineError):
    """What is there is not what `save` has written."""


def save(director: Director, servers: Servers, pieces: Map) -> None:
    """Write rules, marks and settings. Raises EngineError where they are too long."""
    listed = {id(service): service for service in director.rules}
    known = {**listed, **{id(service): service for _, service, _ in servers.all()}}
    gone = [(service, server) for _, service, server in servers.all() if not server.configured]
    text = {
        "made": [encode(command) for command in _commands(director, known.values(), gone)],
        "numbers": [
            [number, encode(DeleteServer(service.key, server.address)), server.stats.counts()]
            for number, service, server in servers.all()
        ],
        "counted": [[encode(DeleteService(one.key)), one.stats.counts()] for one in known.values()],
        "deleted": [
            *(encode(DeleteServer(service.key, server.address)) for service, server in gone),
            *(encode(DeleteService(one.key)) for one in known.values() if id(one) not in listed),
        ],
    }
    _write(zlib.compress(json.dumps(text).encode(), 1), pieces)


def _commands(
    director: Director,
    services: Iterable[VirtualService],
    gone: Iterable[tuple[VirtualService, RealServer]],
) -> Iterator[Command]:
    """They make the services with their servers, and those that are `gone` as well."""
    left: dict[int, list[RealServer]] = {}
    for service, server in gone:
        left.setdefault(id(service), []).append(server)
    now = director.rules
    for name, value in now.sysctls.as_dict().items():
        yield SetSysctl(name, value)
    times = now.timeouts
    yield SetTimeouts(tcp=int(times.established), tcpfin=int(times.fin_wait), udp=int(times.udp))
    for mark in now.marks:
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
        there = (server for server in reversed(service.servers) if server.configured)
        for server in (*left.get(id(service), ()), *there):
            limits = server.upper, server.lower
            yield AddServer(service.key, server.address, server.weight, server.requested_method, *limits)


def restore(director: Director, servers: Servers, pieces: Map, now: float) -> None:
    """Give the director the rules that an earlier one has left. Raises CannotRead."""
    try:
        text = _read(pieces)
        if text is None:
            return
        director.apply([decode(each) for each in text["made"]], now)
        _resume(director, text.get("counted", ()))
        _bind(director, servers, text["numbers"])
        director.apply([decode(each) for each in text["deleted"]], now)
    except (KeyError, LvsError, TypeError, ValueError, zlib.error) as error:
        raise UnreadableCheckpoint(
            f"The rules that another director has left can't be read ({error})."
        ) from None


def _resume(director: Director, counted: Iterable[Sequence[Any]]) -> None:
    """Services' counters, as they were written."""
    services = {service.key: service for service in director.rules}
    for named, counts in counted:
        name = decode(named)
        if not isinstance(name, DeleteService):
            raise ValueError(f"counted: expected a service, got {named}")
        services[name.key].stats.resume(_checked(counts))


def _bind(director: Director, servers: Servers, numbers: Sequence[Sequence[Any]]) -> None:
    """Servers have their numbers, and their counters; what those have grown by, their services' have, too."""
    services = {service.key: service for service in director.rules}
    for number, *_ in numbers:
        if type(number) is not int or not 0 <= number < servers.room:
            raise ValueError(f"numbers: expected one below {servers.room}, got {number!r}")
    servers.reserve(number for number, *_ in numbers)
    for number, named, *counts in numbers:
        name = decode(named)
        service = services[name.key] if isinstance(name, DeleteServer) else None
        server = service and isinstance(name, DeleteServer) and service.server(name.server)
        if not service or not server:
            raise ValueError(f"numbers: expected one of its real servers, got {named}")
        servers.bind(number, service, server)
        servers.resume(number)
        before = _checked(*counts) if counts else (0,) * len(COUNTERS)
        grown = map(int.__sub__, server.stats.counts(), before)
        service.stats.resume(map(int.__add__, service.stats.counts(), grown))
    servers.fetch()


def _checked(counts: Any) -> Sequence[int]:
    if [type(count) for count in counts] != [int] * len(COUNTERS):
        raise ValueError(f"expected {len(COUNTERS)} counters, got {counts}")
    return list(counts)


def _write(data: bytes, pieces: Map) -> None:
    whole = len(data).to_bytes(_LENGTH, sys.byteorder) + data
    size = pieces.value_size
    if len(whole) > size * pieces.size:
        raise EngineError(f"The engine ebpf can keep {size * pieces.size} bytes of rules, not {len(whole)}.")
    try:
        for number, start in enumerate(range(0, len(whole), size)):
            pieces.put(_place(number), whole[start : start + size].ljust(size, b"\0"))
    except BpfError as error:
        raise EngineError(f"The engine ebpf can't keep so many rules ({error}).") from None


def _read(pieces: Map) -> Json | None:
    """None where nothing was written."""
    parts: list[bytes] = []
    while (part := pieces.get(_place(len(parts)))) is not None:
        parts.append(part)
    whole = b"".join(parts)
    size = int.from_bytes(whole[:_LENGTH], sys.byteorder)
    if not size:
        return None
    text: Json = json.loads(zlib.decompress(whole[_LENGTH : _LENGTH + size]))
    return text


def _place(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder)
