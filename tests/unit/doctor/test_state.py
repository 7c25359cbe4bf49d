"""A state survives JSON, and other JSON is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from doctor.state import HostState, LabState, Listener, Mark, Plug
from tests.unit.doctor.recorded import METHODS, healthy


@pytest.mark.parametrize("method", METHODS)
def test_a_state_survives_json(method: str) -> None:
    state = healthy(method)
    assert LabState.from_dict(json.loads(json.dumps(state.as_dict()))) == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vip": 7}, "LabState.vip: expected str"),
        ({"hosts": "rs1"}, "LabState.hosts"),
        ({"hosts": [{"name": "rs1"}]}, "HostState"),
        ({"director": {"timeouts": {"tcp": "15"}}}, "DirectorState.timeouts: expected int"),
        ({"colour": "red"}, "LabState has no field 'colour'"),
    ],
)
def test_other_json_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabState.from_dict({**healthy("nat").as_dict(), **change})


@pytest.mark.parametrize(
    ("address", "port", "heard"),
    [
        ("203.0.113.1", 80, True),
        ("203.0.113.1", 21, True),
        ("203.0.113.2", 21, False),
        ("203.0.113.1", 53, False),
    ],
)
def test_listening_addresses(address: str, port: int, heard: bool) -> None:
    listeners = (
        Listener("TCP", "0.0.0.0", 80),
        Listener("TCP", "203.0.113.1", 21),
        Listener("UDP", "0.0.0.0", 53),
    )
    assert HostState("rs1", "real server", (), listeners=listeners).listens(address, port) is heard


def test_a_mark_of_a_network_and_of_ports() -> None:
    mark = Mark(1, "203.0.113.0/28", "TCP", 80, 443)
    assert mark.covers("203.0.113.1", 80)
    assert not mark.covers("203.0.113.1", 8080)
    assert not mark.covers("203.0.113.99", 80)
    assert not Mark(1, "203.0.113.1", "UDP", 0, 65535).covers("203.0.113.1", 80)


def test_the_network_of_a_plug() -> None:
    assert Plug("rs1-eth0", "s4", "192.0.2.66", 27).reaches("192.0.2.65")
    assert not Plug("rs1-eth0", "s4", "192.0.2.66", 27).reaches("192.0.2.1")
