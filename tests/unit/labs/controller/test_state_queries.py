from __future__ import annotations

import json
from typing import Any

import pytest

from labs.controller import state_queries
from labs.controller.state_queries import ArpSighting, Port, PortCounters, Switch

SWITCH = Switch("s1", 1, (Port(1, "s1-eth1"),))
COUNTERS = PortCounters("s1", 1, 1, "s1-eth1", 10, 1000, 20, 2000)
CLAIM = ArpSighting(
    5,
    1.5,
    "s1",
    1,
    "s1-eth1",
    "reply",
    "203.0.113.1",
    "02:00:cb:00:71:02",
    "198.51.100.101",
    "02:00:cb:00:71:02",
)


class Told:
    """A fixed state; `silent` stands for a switch that does not reply."""

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent
        self.since: int | None = None

    def switches(self) -> tuple[Switch, ...]:
        return (SWITCH,)

    def ports(self) -> tuple[PortCounters, ...]:
        if self.silent:
            raise state_queries.ControlError("no port counters from s2 within 3 s")
        return (COUNTERS,)

    def arp(self, since: int) -> tuple[ArpSighting, ...]:
        self.since = since
        return (CLAIM,)

    def forget_arp(self) -> int:
        return 5

    def framework(self) -> tuple[str, str]:
        return "ryu", "4.34"


def ask(request: dict[str, Any], state: Told | None = None) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(json.dumps(state_queries.answer(state or Told(), request)))
    return result


def test_switches_with_ports() -> None:
    ports = [{"number": 1, "name": "s1-eth1"}]
    assert ask({"do": "switches"}) == {"ok": True, "switches": [{"name": "s1", "dpid": 1, "ports": ports}]}


def test_port_counters() -> None:
    (port,) = ask({"do": "ports"})["ports"]
    assert PortCounters(**port) == COUNTERS


def test_arp_since() -> None:
    state = Told()
    (claim,) = ask({"do": "arp", "since": 4}, state)["arp"]
    assert ArpSighting(**claim) == CLAIM
    assert state.since == 4


def test_arp_from_the_start() -> None:
    state = Told()
    ask({"do": "arp"}, state)
    assert state.since == 0


def test_forget_and_framework() -> None:
    assert ask({"do": "forget-arp"}) == {"ok": True, "serial": 5}
    assert ask({"do": "framework"}) == {"ok": True, "name": "ryu", "version": "4.34"}


def test_an_error_says_why() -> None:
    assert ask({"do": "ports"}, Told(silent=True)) == {
        "ok": False,
        "error": "no port counters from s2 within 3 s",
    }


@pytest.mark.parametrize("request_", [{}, {"do": "explode"}, {"do": None}, {"do": ["ports"]}, {"do": {}}])
def test_an_unknown_request_lists_the_known_ones(request_: dict[str, Any]) -> None:
    state = ask(request_)
    assert state["ok"] is False
    assert "choose from switches, ports, arp" in state["error"]


@pytest.mark.parametrize("since", ["4", None, 1.5, True, [], {}])
def test_a_serial_is_a_whole_number(since: Any) -> None:
    state = ask({"do": "arp", "since": since})
    assert state["ok"] is False
    assert "is not a serial" in state["error"]
