"""The state tables, row by row where a row deserves a test, the timeouts, and the documented diagram."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from director.core.director import Director
from director.core.errors import BadValue
from director.core.packet import ACK, FIN, PSH, RST, SYN, TCP, UDP, URG
from director.core.states import DIAGRAMS, TCP_TRANSITIONS, Direction, State, Timeouts, mermaid, next_state
from tests.unit.director.core.support import RS2, WEB, client, published, tcp


def walk(direction: Direction, *flags: int) -> State:
    state = State.NONE
    for flag in flags:
        state = next_state(TCP, state, direction, flag)
    return state


@pytest.mark.parametrize(
    ("direction", "flags", "state"),
    [
        (Direction.INPUT, [SYN], State.SYN_RECV),
        (Direction.INPUT, [SYN, ACK], State.ESTABLISHED),
        (Direction.INPUT, [SYN, RST], State.SYN_RECV),
        (Direction.INPUT, [SYN, ACK, FIN | ACK], State.CLOSE_WAIT),
        (Direction.INPUT_ONLY, [SYN, ACK, FIN | ACK], State.FIN_WAIT),
        (Direction.INPUT_ONLY, [SYN, ACK, RST | ACK], State.CLOSE),
        (Direction.OUTPUT, [SYN, ACK], State.SYN_SENT),
        (Direction.INPUT, [SYN, ACK, SYN], State.ESTABLISHED),
        (Direction.INPUT, [SYN, ACK, PSH | ACK], State.ESTABLISHED),
        (Direction.INPUT, [SYN, ACK, PSH], State.CLOSE),
        (Direction.OUTPUT, [SYN, ACK, URG], State.CLOSE),
        (Direction.INPUT_ONLY, [SYN, ACK, 0], State.CLOSE),
    ],
)
def test_the_states_after_packets(direction: Direction, flags: list[int], state: State) -> None:
    assert walk(direction, *flags) is state


def test_the_tables_are_complete() -> None:
    tcp_states = [state for state in State if state is not State.UDP]
    assert len(TCP_TRANSITIONS) == 3 * 5 * len(tcp_states)
    assert State.UDP not in TCP_TRANSITIONS.values()


def test_udp_has_one_state() -> None:
    assert next_state(UDP, State.UDP, Direction.INPUT, SYN) is State.UDP


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 10**9])
def test_a_timeout_has_limits(seconds: float) -> None:
    with pytest.raises(BadValue, match="timeout udp"):
        Timeouts(udp=seconds)


def test_timeouts_can_be_set() -> None:
    director = published(timeouts=Timeouts(syn_recv=5))
    director.decide(tcp(client(1), WEB), 0)
    assert director.expire(4.9) == 0
    assert director.expire(5) == 1


def test_every_state_has_its_timeout() -> None:
    assert Timeouts().by_state().keys() == set(State)


def test_a_connection_lives_from_its_last_packet_on() -> None:
    director: Director = published()
    director.decide(tcp(client(1), WEB), 0)
    director.decide(tcp(RS2, client(1), SYN | ACK), 50)
    assert director.expire(109) == 0
    assert director.expire(110) == 1


@pytest.mark.parametrize("flags", [0, PSH, URG, PSH | URG])
def test_a_packet_without_flags_closes_a_connection_for_ten_seconds(flags: int) -> None:
    director = published()
    for packet in (tcp(client(1), WEB), tcp(RS2, client(1), SYN | ACK), tcp(client(1), WEB, ACK)):
        director.decide(packet, 0)
    director.decide(tcp(client(1), WEB, flags), 0)
    (connection,) = director.connections
    assert (connection.state, connection.active) == (State.CLOSE, False)
    assert director.expire(9.9) == 0
    assert director.expire(10) == 1


PAGE = Path(__file__).resolve().parents[4] / "docs" / "director.md"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_page_shows_the_diagrams(name: str) -> None:
    """UPDATE_GOLDEN=1 rewrites the page."""
    text, drawn = PAGE.read_text(), mermaid(DIAGRAMS[name])
    block = re.compile(rf"(<!-- diagram: {name} -->\n```mermaid\n)(.*?)(```)", re.DOTALL)
    found = block.search(text)
    assert found
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(block.sub(lambda match: match[1] + drawn + match[3], text))
    else:
        assert found[2] == drawn
