"""Each scheduler against an independent statement of its rule."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core import schedulers
from director.core.decision import Method
from director.core.errors import UnknownScheduler
from director.core.packet import Endpoint
from director.core.service import RealServer
from tests.unit.director.core.support import WEB, client, tcp

PACKET = tcp(client(1), WEB)
weights = st.lists(st.integers(0, 12), min_size=1, max_size=8)
loads = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(0, 600)), min_size=1, max_size=8)


def servers_of(weights: list[int]) -> list[RealServer]:
    return [RealServer(Endpoint(f"192.0.2.{n}", 80), w, Method.DR) for n, w in enumerate(weights, 1)]


def loaded(loads: list[tuple[int, int, int]]) -> list[RealServer]:
    servers = servers_of([weight for weight, _, _ in loads])
    for server, (_, active, inactive) in zip(servers, loads, strict=True):
        server.active, server.inactive = active, inactive
    return servers


def picks(name: str, servers: list[RealServer], count: int) -> list[int | None]:
    """The places of the servers picked, None where none was."""
    scheduler = schedulers.make(name)
    scheduler.changed(servers)
    chosen = (scheduler.pick(servers, PACKET) for _ in range(count))
    return [servers.index(pick[0]) if pick else None for pick in chosen]


def test_all_are_found_by_their_files() -> None:
    assert set(schedulers.names()) >= {"rr", "wrr", "lc", "wlc"}


def test_an_unknown_one_is_refused_with_the_choice() -> None:
    with pytest.raises(UnknownScheduler, match=r"'random' is unknown: choose from .*rr"):
        schedulers.make("random")


@pytest.mark.parametrize("name", schedulers.names())
def test_nobody_available_is_nobody_picked(name: str) -> None:
    assert picks(name, servers_of([0, 0]), 3) == [None] * 3
    assert picks(name, [], 1) == [None]


@pytest.mark.parametrize("name", schedulers.names())
@given(weights=weights)
def test_weight_zero_is_never_picked(name: str, weights: list[int]) -> None:
    for place in picks(name, servers_of(weights), 20):
        assert place is None or weights[place] > 0


@given(weights=weights)
def test_rr_gives_everybody_the_same(weights: list[int]) -> None:
    able = [place for place, weight in enumerate(weights) if weight]
    expected = (able * 3)[: 3 * len(able)]
    assert picks("rr", servers_of(weights), 3 * len(able)) == expected


def test_wrr_in_the_order_of_the_kernel() -> None:
    order = picks("wrr", servers_of([4, 3, 2]), 9)
    assert "".join("ABC"[place] for place in order if place is not None) == "AABABCABC"


@given(weights=weights.filter(any), start=st.integers(0, 20))
def test_wrr_gives_by_weight_in_every_round(weights: list[int], start: int) -> None:
    divisor = math.gcd(*weights)
    round_length = sum(weights) // divisor
    chosen = picks("wrr", servers_of(weights), start + round_length)[start:]
    assert Counter(chosen) == {p: w // divisor for p, w in enumerate(weights) if w}


@given(loads=loads)
def test_lc_picks_the_first_of_the_least(loads: list[tuple[int, int, int]]) -> None:
    load = {p: 256 * active + idle for p, (weight, active, idle) in enumerate(loads) if weight}
    expected = min(load, key=lambda place: (load[place], place)) if load else None
    assert picks("lc", loaded(loads), 1) == [expected]


@given(loads=loads)
def test_wlc_picks_the_first_of_the_least_per_weight(loads: list[tuple[int, int, int]]) -> None:
    load = {p: Fraction(256 * active + idle, w) for p, (w, active, idle) in enumerate(loads) if w}
    expected = min(load, key=lambda place: (load[place], place)) if load else None
    assert picks("wlc", loaded(loads), 1) == [expected]


@given(before=weights.filter(any), after=weights.filter(any), taken=st.integers(0, 30))
def test_wrr_goes_on_after_the_weights_were_changed(before: list[int], after: list[int], taken: int) -> None:
    scheduler = schedulers.make("wrr")
    scheduler.changed(servers_of(before))
    for _ in range(taken):
        scheduler.pick(servers_of(before), PACKET)
    servers = servers_of(after)
    scheduler.changed(servers)
    chosen = Counter(
        servers.index(pick[0]) for _ in range(3 * sum(after)) if (pick := scheduler.pick(servers, PACKET))
    )
    assert set(chosen) == {place for place, weight in enumerate(after) if weight}
