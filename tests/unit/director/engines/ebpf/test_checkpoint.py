"""What the next director takes over: the rules, however many, the servers' numbers, and what was counted."""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    ServiceKey,
    Zero,
)
from director.core.director import Director
from director.core.ftp import Session
from director.core.packet import TCP, Endpoint
from director.core.service import VirtualService
from director.core.tcp_stream import MAX_EDITS, Edit, Edits, KnownShift, LineReader
from director.engines.ebpf import checkpoint, compiler, layouts
from director.engines.ebpf.checkpoint import SESSION_SIZE, FtpSessions, pack_session, unpack_session
from director.engines.ebpf.servers import Servers
from director.engines.engine import EngineError
from tests.unit.director.core.support import RS1, RS2, VIP, WEB, client, rules, tcp
from tests.unit.director.engines.ebpf.support import FakeMap

KEY = ServiceKey(TCP, WEB)
NUMBER = 0  # of the server that was added last, which is listed first


class Run:
    """A director over new maps, or over those of an earlier director."""

    def __init__(self, maps: dict[str, Any] | None = None) -> None:
        self.maps = maps or {
            name: FakeMap() for name in ("servers", "server_stats", "core_stats", "checkpoint")
        }
        self.director = Director(is_local=lambda _address: False)
        self.servers = Servers(self.maps)
        if maps is None:
            self.director.apply(rules(WEB, (RS1, 1), (RS2, 2)), 0.0)
            self.servers.assign_numbers(list(self.director.rules))
            self.install_rules()
        else:
            checkpoint.restore(self.director, self.servers, self.maps["checkpoint"], 0.0)

    def install_rules(self) -> None:
        """What the engine does."""
        self.servers.write_all_back()
        checkpoint.save(self.director, self.servers, self.maps["checkpoint"])

    @property
    def service(self) -> VirtualService:
        (service,) = self.director.rules
        return service

    def counts(self) -> tuple[int, int, int]:
        """Packets from clients: the service's count, its two servers' counts."""
        self.servers.fetch()
        first, second = (server.stats.packets_in for _, _, server in self.servers.numbered())
        return self.service.stats.packets_in, first, second

    def program_forwards(self, number: int, packets: int) -> None:
        counted = list(layouts.STATS.unpack(self.maps["server_stats"].get_per_cpu(number)))
        counted[1] += packets
        self.maps["server_stats"].counts[number] = layouts.STATS.pack(*counted)

    def core_forwards(self, connections: int) -> None:
        """One packet each, to the two servers in turn."""
        for port in range(connections):
            self.director.decide(tcp(client(3000 + port), WEB), 0.0)
            connection = self.director.connections.find_in(TCP, client(3000 + port), WEB)
            assert connection is not None
            self.servers.save_counters(connection.server)


def test_the_next_director_continues_the_counters() -> None:
    before = Run()
    before.program_forwards(NUMBER, 7)
    before.core_forwards(3)
    before.program_forwards(NUMBER, 1)
    counted = before.counts()
    assert counted[0] == sum(counted[1:]) == 11
    after = Run(before.maps)
    assert after.counts() == counted
    assert [server.stats.connections for _, _, server in after.servers.numbered()] == [
        server.stats.connections for _, _, server in before.servers.numbered()
    ]
    after.program_forwards(NUMBER, 5)
    assert after.counts() == (counted[0] + 5, counted[1] + 5, counted[2])


@pytest.mark.parametrize("fetched", [True, False])
def test_zeroed_counters_stay_zeroed(*, fetched: bool) -> None:
    before = Run()
    before.program_forwards(NUMBER, 7)
    before.core_forwards(2)
    if fetched:
        before.servers.write_all_back()
    before.counts()
    before.director.apply([Zero(KEY)], 0.0)
    before.install_rules()
    before.program_forwards(NUMBER, 4)
    assert Run(before.maps).counts() == before.counts() == (4, 4, 0)


def test_a_third_director_continues_from_the_second() -> None:
    first = Run()
    first.core_forwards(3)
    second = Run(first.maps)
    second.install_rules()
    second.core_forwards(3)
    second.program_forwards(NUMBER, 4)
    assert Run(first.maps).counts() == second.counts()
    assert second.counts()[0] == 10


def test_a_service_keeps_the_counts_of_a_deleted_server() -> None:
    before = Run()
    before.core_forwards(4)
    before.director.expire(1e9)
    before.director.apply([DeleteServer(KEY, RS2)], 0.0)
    before.servers.assign_numbers(list(before.director.rules))
    before.install_rules()
    after = Run(before.maps)
    assert after.service.stats.packets_in == before.service.stats.packets_in == 4


def test_earlier_counts_make_no_rates() -> None:
    before = Run()
    before.program_forwards(NUMBER, 1000)
    before.counts()
    before.install_rules()
    stats = Run(before.maps).service.stats
    stats.estimate()
    assert stats.as_dict()["rates"] == dict.fromkeys(
        ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out"), 0
    )


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("servers", [[99999, None]]),
        ("servers", [["0", None]]),
        ("servers", [[0, {"command": "Clear"}]]),
        ("servers", [[0, None, [1, 2]]]),
        ("services", [[{"command": "Clear"}, [0] * 5]]),
        ("services", [[None]]),
        ("create", 7),
    ],
)
def test_an_invalid_checkpoint_is_refused_in_one_sentence(part: str, value: Any) -> None:
    """With python -O, too: the checks are no assertions."""
    before = Run()
    chunks = before.maps["checkpoint"]
    text = checkpoint._read(chunks)
    assert text is not None
    for row in value if isinstance(value, list) else ():
        if row[-1] is None or len(row) > 2:
            row[1:2] = [text["servers"][0][1]] if part == "servers" else row[1:2]
    checkpoint._write(zlib.compress(json.dumps({**text, part: value}).encode()), chunks)
    with pytest.raises(EngineError, match="can't be read"):
        Run(before.maps)


def test_unknown_servers_are_refused() -> None:
    before = Run()
    text = checkpoint._read(before.maps["checkpoint"])
    assert text is not None
    text["servers"][0][1]["server"] = text["servers"][0][1]["server"].replace(RS2.address, "192.0.2.99")
    assert Endpoint("192.0.2.99", RS2.port) != RS2
    checkpoint._write(zlib.compress(json.dumps(text).encode()), before.maps["checkpoint"])
    with pytest.raises(EngineError, match="can't be read"):
        Run(before.maps)


# ---- many rules ----


class ManyServices:
    """Services on ports from 1 on; each has two servers, and a connection to the first of them."""

    def __init__(self, services: int) -> None:
        maps: dict[str, Any] = {name: FakeMap() for name in ("servers", "server_stats", "core_stats")}
        self.director = Director()
        self.servers = Servers(maps)
        self.chunks: Any = FakeMap(4096)
        for port in range(1, services + 1):
            key = ServiceKey(TCP, Endpoint(VIP, port))
            self.apply(AddService(key, "rr"), AddServer(key, RS2), AddServer(key, RS1))
            self.director.decide(tcp(client(1024 + port), key.address), 0.0)

    def apply(self, *commands: Command) -> None:
        self.director.apply(commands, 0.0)
        self.servers.assign_numbers(list(self.director.rules))

    def save(self) -> None:
        checkpoint.save(self.director, self.servers, self.chunks)

    def content(self) -> dict[str, list[Any]]:
        content = checkpoint._read(self.chunks)
        assert content is not None
        return content


def lines_run_by_save(many: ManyServices) -> int:
    lines = 0

    def count(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count if frame.f_code.co_filename == checkpoint.__file__ else None

    before = sys.gettrace()
    sys.settrace(count)
    try:
        many.save()
    finally:
        sys.settrace(before)
    return lines


def test_saving_takes_linear_time() -> None:
    few, many = (lines_run_by_save(ManyServices(services)) for services in (20, 80))
    assert many < 4.4 * few


def test_a_deleted_server_with_connections_is_created_and_deleted_again() -> None:
    services = ManyServices(3)
    services.apply(DeleteServer(ServiceKey(TCP, Endpoint(VIP, 1)), RS1))
    services.save()
    text = services.content()
    servers = [entry["server"] for entry in text["create"] if entry["command"] == "AddServer"]
    assert sorted(servers) == sorted([str(RS1), str(RS2)] * 3)
    assert [(entry["command"], entry["server"]) for entry in text["delete"]] == [("DeleteServer", str(RS1))]


def test_a_deleted_service_with_connections_is_created_and_deleted_again() -> None:
    services = ManyServices(2)
    services.apply(Clear())
    services.save()
    text = services.content()
    assert [entry["command"] for entry in text["delete"]] == ["DeleteServer"] * 2 + ["DeleteService"] * 2
    assert [entry["server"] for entry in text["create"] if entry["command"] == "AddServer"] == [str(RS1)] * 2


# ---- ftp sessions ----

numbers = st.integers(0, 2**32 - 1)
readers = st.builds(LineReader, st.none() | numbers, numbers, st.binary(max_size=512))
edits = st.builds(Edit, numbers, st.integers(1, 512), st.binary(min_size=11, max_size=23))
growths = st.integers(-1000, 1000)


@st.composite
def all_edits(draw: st.DrawFn) -> Edits:
    settled = draw(growths)
    shift = draw(st.none() | st.builds(KnownShift, numbers, st.just(settled), growths))
    return Edits(draw(st.lists(edits, max_size=MAX_EDITS)), settled, shift)


sessions = st.builds(Session, readers, readers, all_edits(), st.none() | numbers)


@given(sessions)
def test_sessions_round_trip(session: Session) -> None:
    assert unpack_session(pack_session(session)) == session


def test_a_session_fits_into_the_map() -> None:
    text = (Path(compiler.__file__).parent / "program" / "maps.h").read_text()
    assert f"#define FTP_SESSION {SESSION_SIZE}\n" in text


def test_a_full_map_is_not_an_error() -> None:
    full = FtpSessions(FakeMap(0))  # type: ignore[arg-type]
    full.save(b"key", Session())
    assert full.find(b"key") is None
