"""What another director tells: the program enters it as the core does. Tables alone, without packets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from director import engines
from director.core.commands import AddServer, AddService, Command, DeleteServer, ServiceKey
from director.core.connections import Tables
from director.core.director import Director
from director.core.family import IPV4, IPV6, Family
from director.core.packet import TCP, UDP, Endpoint
from director.core.real_server import Method
from director.core.sync_protocol import Flag, Outbox, SyncRecord, decode, plain
from director.core.sysctls import Sysctls
from director.engines.ebpf import compiler
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import KernelClock, Settings, Totals
from director.engines.ebpf.libbpf.programs import BpfObject, run
from director.engines.ebpf.program import OWN_MAPS, SETTINGS, SHARED_MAPS, TOTALS, ProgramUpdates
from director.engines.ebpf.received import Received
from director.engines.ebpf.servers import Servers
from director.engines.ebpf.table import SharedTable
from director.engines.ebpf.templates import SharedTemplates
from director.engines.engine import EngineError
from tests.conftest import LONG

STEP = 10_000  # seconds between two timeouts: far more than the test takes
LIMIT = 60
MESSAGES = 20_000 if LONG else 400
NETWORKS = {
    IPV4: ("198.51.100.{}", "203.0.113.1", "172.16.0.{}"),
    IPV6: ("2001:db8:1::{}", "2001:db8::80", "fd00::{}"),
}
SERVICES = {(TCP, 80): Method.NAT, (TCP, 81): Method.DR, (TCP, 82): Method.TUN, (UDP, 53): Method.NAT}
FTP_PORT, WITHOUT_SERVICE = 21, 99


def rules(family: Family) -> Iterator[Command]:
    _, vip, server = NETWORKS[family]
    for (protocol, port), method in {**SERVICES, (TCP, FTP_PORT): Method.NAT}.items():
        key = ServiceKey(protocol, Endpoint(vip, port))
        yield AddService(key, scheduler="rr", persistent=300 if port == 81 else 0)
        for number in (1, 2):
            yield AddServer(key, Endpoint(server.format(number), port), method=method)


class Beside:
    """Two backups with the same rules: the core alone, and the core with the program's tables."""

    def __init__(self, loaded: BpfObject, family: Family) -> None:
        self.family = family
        self._loaded = loaded
        maps: dict[str, Any] = {name: loaded.map(name) for name in (*OWN_MAPS, *SHARED_MAPS)}
        self.maps = maps
        clock, totals = KernelClock(monotonic, 0), Totals(maps[TOTALS].mapped())
        self.settings = Settings(maps[SETTINGS].mapped())
        self.servers = Servers(maps)
        templates = SharedTemplates(maps["templates"], totals, self.servers, clock)
        updates = ProgramUpdates(self.run)
        sessions = FtpSessions(maps["ftp_sessions"])
        table = SharedTable(
            maps["connections"], totals, self.servers, templates, sessions, updates, clock, lambda: None, 8
        )
        sysctls = Sysctls()
        self.alone = Director(conn_limit=LIMIT, sysctls=sysctls)
        self.shared = Director(conn_limit=LIMIT, sysctls=sysctls, tables=Tables(table, templates))
        self.settings.set_timeouts(self.shared.rules.timeouts)
        programs: Any = self
        memory = maps["received"].mapped()
        self.received = Received(programs, memory, self.shared.rules, self.servers)
        self.shared.enter = self.received.enter
        self.ran = 0
        self.apply(*rules(family))

    def run(self, part: str, context: bytes) -> tuple[int, bytes]:
        return run(self._loaded.program(part), context)

    def enter(self, _family: Family, context: bytes) -> tuple[int, bytes]:
        """In the place of Programs."""
        self.ran += 1
        return self.run("enter_records", context)

    def apply(self, *commands: Command) -> None:
        for director in (self.alone, self.shared):
            director.apply(commands, monotonic())
        self.servers.assign_numbers(list(self.shared.rules))
        self.servers.write(lambda _address: self.family.unspecified)
        self.received.rules_changed()

    def receive(self, datagram: bytes) -> tuple[int, int]:
        """A message for both; how many records came to something."""
        alone = sum(self.alone.receive(record, monotonic()) for record in decode(datagram).records)
        common = plain(datagram)
        if common is None:
            return alone, sum(self.shared.receive(record, monotonic()) for record in decode(datagram).records)
        return alone, sum(entered for entered, _ in self.shared.receive_plain(common, monotonic))

    def tables(self) -> list[list[tuple[Any, ...]]]:
        return [
            sorted(
                (row["client"], row["vip"], row["server"], row["state"], round(row["expires"] / STEP))
                for row in director.listing(monotonic())
            )
            for director in (self.alone, self.shared)
        ]

    def counts(self) -> list[list[tuple[Any, ...]]]:
        self.servers.fetch()
        return [
            [
                (service.key, server.address, server.active, server.inactive)
                for service in director.rules
                for server in service.servers
            ]
            for director in (self.alone, self.shared)
        ]


@pytest.fixture(params=NETWORKS, ids=str)
def beside(request: pytest.FixtureRequest) -> Iterator[Beside]:
    try:
        engines.require("ebpf")
    except EngineError as missing:
        pytest.skip(str(missing))
    loaded = BpfObject(compiler.compiled(request.param.version), {"connections": 1000}, {})
    yield Beside(loaded, request.param)
    loaded.close()


def record(chance: random.Random, family: Family) -> SyncRecord:
    """Most are of connections that may be there; some are of none that can be."""
    client, vip, server = NETWORKS[family]
    protocol, port = chance.choice([*SERVICES, *SERVICES, (TCP, FTP_PORT), (TCP, WITHOUT_SERVICE), (132, 80)])
    to = port if chance.random() < 0.95 else port + 1
    return SyncRecord(
        protocol,
        Endpoint(client.format(chance.randrange(1, 5)), chance.randrange(40000, 40006)),
        Endpoint(vip, port),
        Endpoint(server.format(chance.choice((1, 1, 2, 2, 3))), to),
        chance.choice((0, 0, 0, int(Flag.INACTIVE), int(Flag.DIRECT_ROUTE | Flag.NO_OUTPUT))),
        0 if protocol == UDP else chance.randrange(13),
        STEP * chance.randrange(1, 9),
        chance.choice((0, 0, 0, 0, 7)),
    )


def message(chance: random.Random, family: Family) -> bytes:
    box = Outbox(9, 1472)
    for _ in range(chance.randrange(1, 9)):
        one = record(chance, family)
        if chance.random() < 0.02:  # a template, which makes the whole message the core's
            one = one._replace(
                client=one.client._replace(port=0), flags=int(Flag.TEMPLATE | Flag.INACTIVE), state=1
            )
        box.add(one, 1, 0)
    return box.take() or b""


def test_the_program_enters_what_the_core_enters(beside: Beside, seed: int) -> None:
    chance = random.Random(seed)
    _, vip, server = NETWORKS[beside.family]
    web = ServiceKey(TCP, Endpoint(vip, 80))
    for number in range(MESSAGES):
        if number % 50 == 25:
            beside.apply(DeleteServer(web, Endpoint(server.format(2), 80)))
        if number % 50 == 35:
            beside.apply(AddServer(web, Endpoint(server.format(2), 80), method=Method.NAT))
        alone, shared = beside.receive(message(chance, beside.family))
        assert alone == shared, number
        first, second = beside.tables()
        assert first == second, number
        first, second = beside.counts()
        assert first == second, number
    assert beside.ran > MESSAGES / 2
