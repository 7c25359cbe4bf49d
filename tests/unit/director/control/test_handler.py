"""The requests of the control socket, with an engine that only counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from director.control.channel import MORE, call, decode_line
from director.control.channel import encode as encode_lines
from director.control.handler import RequestHandler
from director.control.listener import Listener
from director.core.commands import (
    AddMark,
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    ServiceKey,
    SetSysctl,
    SetTimeouts,
    mark_key,
)
from director.core.director import Director
from director.core.family import IPV4, IPV6
from director.core.packet import SYN, TCP, Endpoint, Packet
from director.core.real_server import Method
from director.core.rules import LocalServers
from director.engines.engine import Engine, EngineError
from director.formats.command_json import encode
from director.ipvsadm import arguments, requests
from tests.unit.director.idle import Idle

VIP = Endpoint("203.0.113.1", 80)
KEY = ServiceKey(TCP, VIP)
RULES: tuple[Command, ...] = (AddService(KEY), AddServer(KEY, Endpoint("172.16.0.2", 80), 2))


class CountingEngine(Idle):
    """Counts how often rules were changed."""

    changes = 0

    def install_rules(self) -> None:
        self.changes += 1

    def counters(self) -> Mapping[str, int]:
        return {"frames": 7}


@pytest.fixture
def director() -> Director:
    return Director()


@pytest.fixture
def engine(director: Director) -> CountingEngine:
    return CountingEngine(director)


@pytest.fixture
def handler(director: Director, engine: CountingEngine) -> RequestHandler:
    return RequestHandler(director, cast(Engine, engine), lambda: 1.0, {"method": "NAT"})


def apply(handler: RequestHandler, *commands: Command) -> dict[str, Any]:
    return handler({"do": "apply", "commands": [encode(command) for command in commands]})


def test_rules_are_applied_and_listed(handler: RequestHandler, engine: CountingEngine) -> None:
    assert apply(handler, *RULES) == {"ok": True}
    (service,) = handler({"do": "list"})["services"]
    assert (service["protocol"], service["address"], service["port"]) == ("TCP", "203.0.113.1", 80)
    assert [(server["address"], server["weight"]) for server in service["servers"]] == [("172.16.0.2", 2)]
    assert engine.changes == 1


def test_one_bad_command_changes_nothing(handler: RequestHandler, engine: CountingEngine) -> None:
    answer = apply(handler, *RULES, *RULES)
    assert answer["ok"] is False
    assert answer["error"].startswith("Service already exists")
    assert answer["place"] == len(RULES)
    assert handler({"do": "list"})["services"] == []
    assert engine.changes == 0


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (encode(DeleteServer(KEY, Endpoint("172.16.0.9", 80))), "No such destination"),
        ({"command": "AddServer"}, "key"),
        (7, "command"),
    ],
)
def test_the_index_of_a_refused_command_counts_earlier_lines(
    handler: RequestHandler, bad: object, says: str
) -> None:
    commands = [encode(AddService(ServiceKey(mark=mark))) for mark in range(1, 251)]
    commands += [encode(command) for command in RULES]
    commands += [{**encode(DeleteServer(KEY, Endpoint("172.16.0.2", 80))), "last": True}]  # two in one
    commands += [encode(command) for command in RULES]
    lines = encode_lines({"do": "apply", "commands": [*commands, bad, *commands]})
    parts = [decode_line(line.removeprefix(MORE)) for line in lines]
    answer = handler({"do": "apply", "parts": iter(parts)})
    assert (answer["ok"], answer["place"]) == (False, len(commands))
    assert says in answer["error"]


def test_a_refused_change_is_an_event() -> None:
    """Of a command, of what is none, and of rules that the engine can't take over."""
    events: list[dict[str, Any]] = []
    director = Director(on_event=lambda event: events.append(event.as_dict()))
    engine = CountingEngine(director)
    handler = RequestHandler(director, cast(Engine, engine), lambda: 1.0, {})
    missing = DeleteServer(KEY, Endpoint("172.16.0.9", 80))
    apply(handler, *RULES, missing)
    handler({"do": "apply", "parts": iter([{"commands": [{"command": "Explode"}]}])})
    engine.families = ()
    apply(handler, *RULES)
    assert [(event["kind"], event["command"]) for event in events] == [
        ("refused", str(missing)),
        ("refused", "{'command': 'Explode'}"),
        ("refused", str(RULES[0])),
    ]
    assert events[0]["why"].startswith("No such destination")


def test_a_malformed_line_has_no_index(handler: RequestHandler) -> None:
    answer = handler({"do": "apply", "parts": iter([{"commands": [encode(RULES[0])]}, {"commands": 7}])})
    assert (answer["ok"], answer["place"]) == (False, None)


def test_the_last_server_takes_the_service_with_it(handler: RequestHandler) -> None:
    apply(handler, *RULES, AddServer(KEY, Endpoint("172.16.0.3", 80)))
    delete = encode(DeleteServer(KEY, Endpoint("172.16.0.2", 80)))
    left = []
    for server in ("172.16.0.2:80", "172.16.0.3:80"):
        assert handler({"do": "apply", "commands": [{**delete, "server": server, "last": True}]})["ok"]
        left.append(len(handler({"do": "list"})["services"]))
    assert left == [1, 0]


def test_an_engine_that_decides_in_the_kernel_does_not_explain(director: Director) -> None:
    engine = CountingEngine(director)
    engine.explains = False
    handler = RequestHandler(director, cast(Engine, engine), lambda: 1.0, {"engine": "other"})
    report = handler({"do": "explain", "packet": {}})
    assert report == {"ok": False, "error": "The engine other decides in the kernel and gives no reasons."}


def test_connections(handler: RequestHandler, director: Director) -> None:
    apply(handler, *RULES)
    director.decide(Packet(TCP, Endpoint("198.51.100.101", 1025), VIP, 40, flags=SYN), 1.0)
    (connection,) = handler({"do": "connections"})["connections"]
    assert connection["server"] == "172.16.0.2:80"


def test_so_many_connections_and_no_more(handler: RequestHandler, director: Director) -> None:
    apply(handler, *RULES)
    for port in range(1025, 1035):
        director.decide(Packet(TCP, Endpoint("198.51.100.101", port), VIP, 40, flags=SYN), 1.0)
    assert len(handler({"do": "connections"})["connections"]) == 10
    assert len(handler({"do": "connections", "most": 3})["connections"]) == 3
    for wrong in (-1, "3", True, 1.5):
        assert handler({"do": "connections", "most": wrong})["ok"] is False


def test_counters(handler: RequestHandler) -> None:
    answer = handler({"do": "counters"})
    assert answer["engine"] == {"frames": 7}
    assert answer["process"]["rss_bytes"] > 0


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({}, "do"),
        ({"do": None}, "do"),
        ({"do": ["list"]}, "do"),
        ({"do": "explode"}, "do"),
        ({"do": "apply"}, "commands"),
        ({"do": "apply", "commands": "clear"}, "commands"),
        ({"do": "apply", "commands": [None]}, "a command"),
    ],
)
def test_a_malformed_request_gets_a_sentence(
    handler: RequestHandler, request_: dict[str, Any], named: str
) -> None:
    answer = handler(request_)
    assert answer["ok"] is False
    assert answer["error"].startswith(f"{named}: expected ")


def test_over_a_socket(handler: RequestHandler, tmp_path: Path) -> None:
    listener = Listener(str(tmp_path / "control"), handler)
    thread = Thread(target=listener.serve_one)
    thread.start()
    try:
        answer = call(listener.path, {"do": "list"})
        assert (answer["ok"], answer["method"], answer["services"]) == (True, "NAT", [])
        assert answer["timeouts"] == {"tcp": 900, "tcpfin": 120, "udp": 300}
        assert answer["sysctls"]["conn_reuse_mode"] == 1
    finally:
        thread.join()
        listener.close()


def test_rules_that_the_engine_refuses_are_rolled_back(
    director: Director, engine: CountingEngine, handler: RequestHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise EngineError("nft is missing.")

    before = [service.as_dict() for service in director.rules]
    monkeypatch.setattr(engine, "install_rules", refuse)
    answer = handler({"do": "apply", "commands": [encode(command) for command in RULES]})
    assert answer == {"ok": False, "error": "nft is missing."}
    assert [service.as_dict() for service in director.rules] == before


# ---- in steps ----


def many(services: int, servers: int) -> list[Command]:
    made: list[Command] = []
    for number in range(services):
        key = ServiceKey(TCP, Endpoint(f"203.0.113.{number + 1}", 80))
        made += [
            AddService(key),
            *(AddServer(key, Endpoint(f"172.16.0.{n + 1}", 80)) for n in range(servers)),
        ]
    return made


def request_for(*commands: Command) -> dict[str, Any]:
    return {"do": "apply", "commands": [encode(command) for command in commands]}


def syn(port: int) -> Packet:
    return Packet(TCP, Endpoint("198.51.100.101", port), VIP, 40, flags=SYN)


def test_packets_meet_the_old_rules_until_all_new_ones_are_written(
    handler: RequestHandler, director: Director
) -> None:
    apply(handler, *RULES)
    changes: list[Command] = [DeleteServer(KEY, Endpoint("172.16.0.2", 80))]
    changes.append(AddServer(KEY, Endpoint("172.16.0.9", 80)))
    observed = []
    for port, _ in enumerate(handler.steps(request_for(*changes, *many(50, 1)[2:])), start=1025):
        observed.append(getattr(director.decide(syn(port), 1.0), "next_hop", None))
    change = observed.index("172.16.0.9")
    assert change > 50
    assert set(observed[:change]) == {"172.16.0.2"}
    assert set(observed[change:]) == {"172.16.0.9"}


def test_a_change_waits_for_the_one_before_it(handler: RequestHandler) -> None:
    first, second = (handler.steps(request_for(*many(3, 2))) for _ in range(2))
    assert [next(first) for _ in range(3)] == [None] * 3
    assert [next(second) for _ in range(100)] == [None] * 100
    assert list(first)[-1] == {"ok": True}
    (*_, report) = second
    assert report is not None
    assert "already exists" in report["error"]


def test_a_change_is_abandoned_with_its_client_and_blocks_no_other(handler: RequestHandler) -> None:
    later: list[Iterator[None]] = []
    handler.run_later = later.append
    steps = handler.steps(request_for(*RULES, *many(9, 9)[10:]))
    for _ in range(20):
        next(steps)
    steps.close()
    assert handler({"do": "list"})["services"] == []
    assert apply(handler, *RULES) == {"ok": True}
    for left in later:
        assert list(left) is not None  # what was made is cleared away in steps


def clear_and_hang_up(handler: RequestHandler, director: Director) -> list[Iterator[None]]:
    """A client that goes away as soon as its change is active; returns the work that is left."""
    later: list[Iterator[None]] = []
    handler.run_later = later.append
    steps = handler.steps(request_for(Clear()))
    while list(director.rules):
        next(steps)
    steps.close()
    return later


def test_an_active_change_is_finished_without_its_client(handler: RequestHandler, director: Director) -> None:
    apply(handler, SetSysctl("expire_nodest_conn", 1), *RULES)
    for port in range(1025, 1225):
        director.decide(syn(port), 1.0)
    later = clear_and_hang_up(handler, director)
    assert len(director.connections)
    for left in later:
        for _ in left:
            pass
    assert not len(director.connections)
    assert not director.rules.removed


def test_a_change_may_be_written_during_the_clean_up_of_the_last(
    handler: RequestHandler, director: Director
) -> None:
    services = many(6, 20)
    apply(handler, *services)
    for port in range(1025, 1035):
        director.decide(syn(port), 1.0)
    left = clear_and_hang_up(handler, director).pop()
    report = []
    for part in handler.steps(request_for(*services[:21], SetTimeouts(9, 9, 9))):
        report.append(part)
        next(left, None)
    assert report[-1] == {"ok": True}
    for _ in left:
        pass
    known = {connection.server for connection in director.connections}
    (service,) = director.rules
    assert known <= set(service.servers)  # they have their connections back
    assert not director.rules.removed


def test_very_many_counters_are_zeroed_some_at_a_time(
    handler: RequestHandler, director: Director, engine: CountingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each service at once with its servers, so that its counters are always their sum."""
    apply(handler, *many(8, 2))
    for service in director.rules:
        service.stats.connections = 7
    monkeypatch.setattr("director.control.handler._MAX_ZEROED", 7)
    engine.changes = 0
    (command,) = requests.commands(arguments.parse(["-Z"]))  # as ipvsadm sends it
    assert list(handler.steps({"do": "apply", "commands": [command]}))[-1] == {"ok": True}
    assert [service.stats.connections for service in director.rules] == [0] * 8
    assert engine.changes == 3  # three services at a time, of three rows each


class VipRecorder(CountingEngine):
    """Is told of VIPs one step before they are active."""

    def __init__(self, director: Director) -> None:
        super().__init__(director)
        self.vips: list[set[str]] = []
        self.wrong = False

    def prepare_rules(self, vips: set[str], _local: Iterable[LocalServers]) -> Iterator[None]:
        self.vips.append(vips)
        yield
        if self.wrong:
            raise EngineError("no nft.")


def test_an_engine_learns_of_vips_before_they_are_active(director: Director) -> None:
    engine = VipRecorder(director)
    handler = RequestHandler(director, cast(Engine, engine), lambda: 1.0, {})
    apply(handler, *RULES)
    assert (engine.vips, engine.changes) == ([{"203.0.113.1"}], 1)
    engine.wrong = True
    assert apply(handler, Clear()) == {"ok": False, "error": "no nft."}
    assert engine.vips[1:] == [set(), {"203.0.113.1"}]  # it learns that the change failed
    assert len(list(director.rules)) == 1


def test_a_large_listing_comes_in_parts(handler: RequestHandler) -> None:
    apply(handler, *many(3, 1), *many(4, 250)[-251:], *many(60, 3)[16:])
    parts = [part for part in handler.steps({"do": "list"}) if part is not None]
    assert max(len(json.dumps(part)) for part in parts) < 60_000
    listed = handler({"do": "list"})["services"]
    assert [service["address"] for service in listed] == [f"203.0.113.{n}" for n in range(1, 61)]
    assert [len(service["servers"]) for service in listed] == [1, 1, 1, 250, *[3] * 56]
    assert listed[3]["servers"][0]["address"] == "172.16.0.250"


def test_a_listing_survives_changes_of_connections_and_services(
    handler: RequestHandler, director: Director
) -> None:
    apply(handler, *RULES, *many(30, 1)[2:])
    for port in range(1025, 1325):
        director.decide(syn(port), 1.0)
    for wanted in ("list", "connections"):
        steps = handler.steps({"do": wanted})
        for _ in range(10):
            next(steps)
        apply(handler, Clear(), *RULES)
        director.expire(1e9)
        assert list(steps)[-1] == {"ok": True}
        for port in range(1025, 1325):
            director.decide(syn(port), 1.0)


# ---- what an engine can't forward ----


class OnlyIPv4(CountingEngine):
    families = (IPV4,)


OF_IPV6: tuple[tuple[Command, ...], ...] = (
    (AddService(ServiceKey(TCP, Endpoint("2001:db8::80", 80))),),
    (AddService(mark_key(7, IPV6)),),
    (AddService(KEY), AddServer(KEY, Endpoint("fd00::2", 80), method=Method.TUN)),
    (AddMark(7, "2001:db8::/64"),),
)


@pytest.mark.parametrize("commands", OF_IPV6)
def test_ipv6_is_refused_by_an_engine_without_it(director: Director, commands: tuple[Command, ...]) -> None:
    engine = OnlyIPv4(director)
    handler = RequestHandler(director, cast(Engine, engine), lambda: 0.0, {"engine": "ebpf"})
    answer = handler({"do": "apply", "commands": [encode(command) for command in commands]})
    assert answer["place"] == len(commands) - 1
    assert answer["error"].startswith("The engine ebpf does not forward IPv6 (")
    assert answer["error"].endswith("): start the director with --engine scapy, which does.")
    assert (engine.changes, list(director.rules), director.rules.marks) == (0, [], ())


@pytest.mark.parametrize("commands", OF_IPV6)
def test_ipv6_is_taken_by_an_engine_with_it(
    director: Director, engine: CountingEngine, commands: tuple[Command, ...]
) -> None:
    handler = RequestHandler(director, cast(Engine, engine), lambda: 0.0, {"engine": "scapy"})
    assert handler({"do": "apply", "commands": [encode(command) for command in commands]})["ok"]


def test_what_was_prepared_for_a_client_that_has_gone_is_undone_in_the_background(director: Director) -> None:
    """The next change waits for it, and packets for neither."""
    engine = VipRecorder(director)
    handler = RequestHandler(director, cast(Engine, engine), lambda: 1.0, {})
    later: list[Iterator[None]] = []
    handler.run_later = later.append
    steps = handler.steps(request_for(*RULES))
    while not engine.vips:
        next(steps)
    steps.close()
    assert engine.vips == [{"203.0.113.1"}]
    assert list(director.rules) == []
    following = handler.steps(request_for(*RULES))
    assert [next(following) for _ in range(9)] == [None] * 9
    assert len(engine.vips) == 1
    for task in later:
        list(task)
    assert engine.vips[1:] == [set()]
    assert list(following)[-1] == {"ok": True}
    assert engine.vips[2:] == [{"203.0.113.1"}]
