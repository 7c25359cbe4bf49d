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
from director.core.tcp_stream import REMEMBERED, Edit, Edits, LineReader
from director.engines.ebpf import checkpoint, compiler, layouts
from director.engines.ebpf.checkpoint import SESSION_SIZE, FtpSessions, pack_session, unpack_session
from director.engines.ebpf.servers import Servers
from director.engines.engine import EngineError
from tests.unit.director.core.support import RS1, RS2, VIP, WEB, client, rules, tcp
from tests.unit.director.engines.ebpf.support import FakeMap

KEY = ServiceKey(TCP, WEB)
NUMBER = 0  # of the server that was added last, which is listed first


class Life:
    """A director over maps, which are another's perhaps."""

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
        """As the engine does it."""
        self.servers.write_all_back()
        checkpoint.save(self.director, self.servers, self.maps["checkpoint"])

    @property
    def service(self) -> VirtualService:
        (service,) = self.director.rules
        return service

    def counts(self) -> tuple[int, int, int]:
        """Packets from clients: of the service, of its two servers."""
        self.servers.fetch()
        one, other = (server.stats.packets_in for _, _, server in self.servers.numbered())
        return self.service.stats.packets_in, one, other

    def program_forwards(self, number: int, packets: int) -> None:
        counted = list(layouts.STATS.unpack(self.maps["server_stats"].get_per_cpu(number)))
        counted[1] += packets
        self.maps["server_stats"].counts[number] = layouts.STATS.pack(*counted)

    def core_forwards(self, connections: int) -> None:
        """One packet each, which go to both servers in turns."""
        for port in range(connections):
            self.director.decide(tcp(client(3000 + port), WEB), 0.0)
            known = self.director.connections.find_in(TCP, client(3000 + port), WEB)
            assert known is not None
            self.servers.save_counters(known.server)


def test_what_the_core_has_counted_is_counted_on() -> None:
    before = Life()
    before.program_forwards(NUMBER, 7)
    before.core_forwards(3)
    before.program_forwards(NUMBER, 1)
    seen = before.counts()
    assert seen[0] == sum(seen[1:]) == 11
    after = Life(before.maps)
    assert after.counts() == seen
    assert [server.stats.connections for _, _, server in after.servers.numbered()] == [
        server.stats.connections for _, _, server in before.servers.numbered()
    ]
    after.program_forwards(NUMBER, 5)
    assert after.counts() == (seen[0] + 5, seen[1] + 5, seen[2])


@pytest.mark.parametrize("fetched", [True, False])
def test_what_was_set_to_zero_does_not_come_back(*, fetched: bool) -> None:
    before = Life()
    before.program_forwards(NUMBER, 7)
    before.core_forwards(2)
    if fetched:
        before.servers.write_all_back()
    before.counts()
    before.director.apply([Zero(KEY)], 0.0)
    before.install_rules()
    before.program_forwards(NUMBER, 4)
    assert Life(before.maps).counts() == before.counts() == (4, 4, 0)


def test_a_third_director_goes_on_from_the_second() -> None:
    first = Life()
    first.core_forwards(3)
    second = Life(first.maps)
    second.install_rules()
    second.core_forwards(3)
    second.program_forwards(NUMBER, 4)
    assert Life(first.maps).counts() == second.counts()
    assert second.counts()[0] == 10


def test_a_service_keeps_what_a_deleted_server_has_counted() -> None:
    before = Life()
    before.core_forwards(4)
    before.director.expire(1e9)
    before.director.apply([DeleteServer(KEY, RS2)], 0.0)
    before.servers.assign_numbers(list(before.director.rules))
    before.install_rules()
    after = Life(before.maps)
    assert after.service.stats.packets_in == before.service.stats.packets_in == 4


def test_no_rates_are_made_of_what_was_counted_long_ago() -> None:
    before = Life()
    before.program_forwards(NUMBER, 1000)
    before.counts()
    before.install_rules()
    stats = Life(before.maps).service.stats
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
def test_what_can_not_be_is_refused_in_a_sentence(part: str, value: Any) -> None:
    """Whatever has written it: -O, which leaves assertions out, changes nothing."""
    before = Life()
    pieces = before.maps["checkpoint"]
    text = checkpoint._read(pieces)
    assert text is not None
    for row in value if isinstance(value, list) else ():
        if row[-1] is None or len(row) > 2:
            row[1:2] = [text["servers"][0][1]] if part == "servers" else row[1:2]
    checkpoint._write(zlib.compress(json.dumps({**text, part: value}).encode()), pieces)
    with pytest.raises(EngineError, match="can't be read"):
        Life(before.maps)


def test_servers_that_are_not_there_are_refused() -> None:
    before = Life()
    text = checkpoint._read(before.maps["checkpoint"])
    assert text is not None
    text["servers"][0][1]["server"] = text["servers"][0][1]["server"].replace(RS2.address, "192.0.2.99")
    assert Endpoint("192.0.2.99", RS2.port) != RS2
    checkpoint._write(zlib.compress(json.dumps(text).encode()), before.maps["checkpoint"])
    with pytest.raises(EngineError, match="can't be read"):
        Life(before.maps)


# ---- many rules ----


class Kept:
    """Services on ports from 1 on, each with two servers, of which the first has a connection."""

    def __init__(self, services: int) -> None:
        maps: dict[str, Any] = {name: FakeMap() for name in ("servers", "server_stats", "core_stats")}
        self.director = Director()
        self.servers = Servers(maps)
        self.pieces: Any = FakeMap(4096)
        for port in range(1, services + 1):
            key = ServiceKey(TCP, Endpoint(VIP, port))
            self.apply(AddService(key, "rr"), AddServer(key, RS2), AddServer(key, RS1))
            self.director.decide(tcp(client(1024 + port), key.address), 0.0)

    def apply(self, *commands: Command) -> None:
        self.director.apply(commands, 0.0)
        self.servers.assign_numbers(list(self.director.rules))

    def save(self) -> None:
        checkpoint.save(self.director, self.servers, self.pieces)

    def text(self) -> dict[str, list[Any]]:
        text = checkpoint._read(self.pieces)
        assert text is not None
        return text


def lines_of_saving(kept: Kept) -> int:
    lines = 0

    def count(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal lines
        lines += event == "line"
        return count if frame.f_code.co_filename == checkpoint.__file__ else None

    before = sys.gettrace()
    sys.settrace(count)
    try:
        kept.save()
    finally:
        sys.settrace(before)
    return lines


def test_each_service_costs_the_same() -> None:
    few, many = (lines_of_saving(Kept(services)) for services in (20, 80))
    assert many < 4.4 * few


def test_what_connections_wait_for_is_made_and_deleted_again() -> None:
    kept = Kept(3)
    kept.apply(DeleteServer(ServiceKey(TCP, Endpoint(VIP, 1)), RS1))
    kept.save()
    text = kept.text()
    servers = [each["server"] for each in text["create"] if each["command"] == "AddServer"]
    assert sorted(servers) == sorted([str(RS1), str(RS2)] * 3)
    assert [(each["command"], each["server"]) for each in text["delete"]] == [("DeleteServer", str(RS1))]


def test_a_service_that_is_gone_is_made_and_deleted_again() -> None:
    kept = Kept(2)
    kept.apply(Clear())
    kept.save()
    text = kept.text()
    assert [each["command"] for each in text["delete"]] == ["DeleteServer"] * 2 + ["DeleteService"] * 2
    assert [each["server"] for each in text["create"] if each["command"] == "AddServer"] == [str(RS1)] * 2


# ---- ftp sessions ----

numbers = st.integers(0, 2**32 - 1)
readers = st.builds(LineReader, st.none() | numbers, numbers, st.binary(max_size=512))
edits = st.builds(Edit, numbers, st.integers(1, 512), st.binary(min_size=11, max_size=23))
sessions = st.builds(
    Session,
    readers,
    readers,
    st.builds(Edits, st.lists(edits, max_size=REMEMBERED), st.integers(-1000, 1000)),
    st.none() | numbers,
)


@given(sessions)
def test_packed_and_unpacked(session: Session) -> None:
    assert unpack_session(pack_session(session)) == session


def test_the_program_has_room_for_it() -> None:
    text = (Path(compiler.__file__).parent / "program" / "maps.h").read_text()
    assert f"#define FTP_SESSION {SESSION_SIZE}\n" in text


def test_a_full_map_is_no_reason_to_stop() -> None:
    kept = FtpSessions(FakeMap(0))  # type: ignore[arg-type]
    kept.save(b"key", Session())
    assert kept.find(b"key") is None
