"""What a director answers over its control socket, with an engine that only counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from director.control.answers import Answers
from director.control.channel import call
from director.control.codec import encode
from director.control.listener import Listener
from director.core.commands import AddServer, AddService, Command, DeleteServer, ServiceKey
from director.core.director import Director
from director.core.packet import SYN, TCP, Endpoint, Packet
from director.engines.engine import Engine, EngineError
from tests.unit.director.idle import Idle

VIP = Endpoint("203.0.113.1", 80)
KEY = ServiceKey(TCP, VIP)
RULES: tuple[Command, ...] = (AddService(KEY), AddServer(KEY, Endpoint("172.16.0.2", 80), 2))


class CountingEngine(Idle):
    """Counts how often rules were changed."""

    changes = 0

    def rules_changed(self) -> None:
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
def answers(director: Director, engine: CountingEngine) -> Answers:
    return Answers(director, cast(Engine, engine), lambda: 1.0, {"method": "NAT"})


def apply(answers: Answers, *commands: Command) -> dict[str, Any]:
    return answers({"do": "apply", "commands": [encode(command) for command in commands]})


def test_rules_are_applied_and_listed(answers: Answers, engine: CountingEngine) -> None:
    assert apply(answers, *RULES) == {"ok": True}
    (service,) = answers({"do": "list"})["services"]
    assert (service["protocol"], service["address"], service["port"]) == ("TCP", "203.0.113.1", 80)
    assert [(each["address"], each["weight"]) for each in service["servers"]] == [("172.16.0.2", 2)]
    assert engine.changes == 1


def test_one_bad_command_and_nothing_is_changed(answers: Answers, engine: CountingEngine) -> None:
    answer = apply(answers, *RULES, *RULES)
    assert answer["ok"] is False
    assert answer["error"].startswith("Service already exists")
    assert answer["place"] == len(RULES)
    assert answers({"do": "list"})["services"] == []
    assert engine.changes == 0


def test_with_its_last_server_the_service_goes(answers: Answers) -> None:
    apply(answers, *RULES, AddServer(KEY, Endpoint("172.16.0.3", 80)))
    delete = encode(DeleteServer(KEY, Endpoint("172.16.0.2", 80)))
    left = []
    for server in ("172.16.0.2:80", "172.16.0.3:80"):
        assert answers({"do": "apply", "commands": [{**delete, "server": server, "last": True}]})["ok"]
        left.append(len(answers({"do": "list"})["services"]))
    assert left == [1, 0]


def test_an_engine_that_decides_by_itself_does_not_explain(director: Director) -> None:
    engine = CountingEngine(director)
    engine.explains = False
    answers = Answers(director, cast(Engine, engine), lambda: 1.0, {"engine": "other"})
    told = answers({"do": "explain", "packet": {}})
    assert told == {"ok": False, "error": "The engine other decides by itself, and does not say why."}


def test_connections(answers: Answers, director: Director) -> None:
    apply(answers, *RULES)
    director.decide(Packet(TCP, Endpoint("198.51.100.101", 1025), VIP, 40, flags=SYN), 1.0)
    (connection,) = answers({"do": "connections"})["connections"]
    assert connection["server"] == "172.16.0.2:80"


def test_counters(answers: Answers) -> None:
    answer = answers({"do": "counters"})
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
def test_a_malformed_request_gets_a_sentence(answers: Answers, request_: dict[str, Any], named: str) -> None:
    answer = answers(request_)
    assert answer["ok"] is False
    assert answer["error"].startswith(f"{named}: expected ")


def test_over_a_socket(answers: Answers, tmp_path: Path) -> None:
    listener = Listener(str(tmp_path / "control"), answers)
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


def test_rules_that_the_engine_refuses_are_taken_back(
    director: Director, engine: CountingEngine, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise EngineError("nft is missing.")

    before = [service.as_dict() for service in director.services]
    monkeypatch.setattr(engine, "rules_changed", refuse)
    answer = answers({"do": "apply", "commands": [encode(command) for command in RULES]})
    assert answer == {"ok": False, "error": "nft is missing."}
    assert [service.as_dict() for service in director.services] == before
