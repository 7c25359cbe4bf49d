"""lblc and lblcr, compared with a plain list of what happened; their memory of destinations."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.packet import Endpoint, Packet
from director.core.real_server import Method, RealServer
from director.core.schedulers import _load, lblc, lblcr
from director.core.schedulers._load import Destinations, overloaded
from tests.unit.director.core.support import client, tcp

DAY = 24 * 3600.0
HERE, THERE = "203.0.113.1", "203.0.113.9"

places = st.integers(0, 3)
steps = st.lists(
    st.tuples(
        st.sampled_from([HERE, THERE]),
        st.sampled_from([0.0, 1.0, DAY / 2, DAY, DAY + 1]),  # seconds that pass first
        places,  # whose counters change first
        st.integers(0, 4),  # its weight
        st.integers(0, 9),  # its active connections
        st.booleans(),  # whether it is deleted (and comes back at its next turn)
    ),
    max_size=30,
)


def servers_of(*loads: tuple[int, int]) -> list[RealServer]:
    """Servers by weight and active connections."""
    servers = [RealServer(Endpoint(f"192.0.2.{n}", 80), w, Method.DR) for n, (w, _) in enumerate(loads, 1)]
    for server, (_, active) in zip(servers, loads, strict=True):
        server.active = active
    return servers


def to(address: str) -> Packet:
    return tcp(client(1), Endpoint(address, 80))


def place_of(scheduler: lblc.Scheduler | lblcr.Scheduler, servers: list[RealServer], now: float = 0.0) -> int:
    pick = scheduler.pick(servers, to(HERE), now)
    assert pick is not None
    return servers.index(pick[0])


def least(servers: list[RealServer]) -> RealServer | None:
    able = [server for server in servers if server.configured and server.weight]
    return min(able, key=load, default=None)


def load(server: RealServer) -> Fraction:
    return Fraction(256 * server.active + server.inactive, server.weight)


def too_much(server: RealServer, servers: list[RealServer]) -> bool:
    return server.active > server.weight and any(s.active < Fraction(s.weight, 2) for s in servers)


def play(
    steps: list[tuple[str, float, int, int, int, bool]],
) -> Iterator[tuple[str, float, list[RealServer]]]:
    """One step's changes at a time; the servers are always the same objects."""
    servers = servers_of(*[(1, 0)] * 4)
    now = 0.0
    for address, passed, place, weight, active, deleted in steps:
        now += passed
        server = servers[place]
        server.weight, server.active, server.configured = weight, active, not deleted
        yield address, now, [server for server in servers if server.configured]


@given(steps=steps)
def test_lblc_follows_its_rule(steps: list[tuple[str, float, int, int, int, bool]]) -> None:
    scheduler = lblc.Scheduler()
    history: list[tuple[str, float, RealServer | None]] = []
    for address, now, servers in play(steps):
        scheduler.changed(servers)
        pick = scheduler.pick(servers, to(address), now)
        asked = [(when, server) for at, when, server in history if at == address]
        known = asked[-1][1] if asked and now < asked[-1][0] + DAY else None
        stays = known is not None and known.configured and known.weight and not too_much(known, servers)
        expected = known if stays else least(servers)
        assert (pick and pick[0]) == expected
        history.append((address, now, expected or known))


@given(steps=steps)
def test_lblcr_follows_its_rule(steps: list[tuple[str, float, int, int, int, bool]]) -> None:
    scheduler = lblcr.Scheduler()
    sets: dict[str, list[RealServer]] = {}
    changed: dict[str, float] = {}
    used: dict[str, float] = {}
    for address, now, servers in play(steps):
        scheduler.changed(servers)
        pick = scheduler.pick(servers, to(address), now)
        if now >= used.get(address, now) + DAY:
            sets.pop(address, None)
        expected = None
        if address in sets:
            mine = sets[address]
            expected = least(mine)
            heaviest = max((server for server in mine if server.weight), key=load, default=None)
            if len(mine) > 1 and now > changed[address] + DAY and heaviest:
                mine.remove(heaviest)
                changed[address] = now
        if expected is None or too_much(expected, servers):
            expected = least(servers)
            if expected and expected not in sets.setdefault(address, []):
                sets[address] = [expected, *sets[address]]
                changed[address] = now
        assert (pick and pick[0]) == expected
        if address in sets:
            used[address] = now


@pytest.mark.parametrize("kind", [lblc.Scheduler, lblcr.Scheduler])
def test_a_destination_stays_until_its_server_is_overloaded(
    kind: type[lblc.Scheduler | lblcr.Scheduler],
) -> None:
    scheduler, servers = kind(), servers_of((4, 0), (4, 0))
    assert place_of(scheduler, servers) == 0
    servers[0].active = 4
    assert place_of(scheduler, servers) == 0  # as many as its weight
    servers[0].active, servers[1].active = 9, 2
    assert place_of(scheduler, servers) == 0  # the other has half of its weight
    servers[1].active = 1
    assert place_of(scheduler, servers) == 1
    servers[0].active = 0
    assert place_of(scheduler, servers) == (1 if kind is lblc.Scheduler else 0)


@pytest.mark.parametrize("kind", [lblc.Scheduler, lblcr.Scheduler])
def test_destinations_do_not_mix(kind: type[lblc.Scheduler | lblcr.Scheduler]) -> None:
    scheduler, servers = kind(), servers_of((9, 0), (9, 0))
    assert place_of(scheduler, servers) == 0
    servers[0].active = 1
    pick = scheduler.pick(servers, to(THERE), 0.0)
    assert pick is not None
    assert pick[0] is servers[1]
    assert place_of(scheduler, servers) == 0


def test_lblcr_shrinks_a_set_when_the_rush_is_over() -> None:
    scheduler, servers = lblcr.Scheduler(), servers_of((1, 0), (1, 0))
    assert place_of(scheduler, servers, 0.0) == 0
    servers[0].active = 2
    assert place_of(scheduler, servers, 10.0) == 1
    servers[1].active = 1
    for hour in range(1, 25):
        assert place_of(scheduler, servers, 3600.0 * hour) == 1
    assert place_of(scheduler, servers, DAY + 11) == 1  # now the first leaves the set
    servers[0].active = 0
    servers[1].active = 1
    assert place_of(scheduler, servers, DAY + 12) == 1


def rushed(count: int) -> tuple[lblcr.Scheduler, list[RealServer]]:
    """A destination with the first `count` of four servers in its set, last changed at `count` seconds."""
    scheduler, servers = lblcr.Scheduler(), servers_of(*[(9, 0)] * 4)
    for place in range(count):
        assert place_of(scheduler, servers, place + 1.0) == place
        servers[place].active = 10
    return scheduler, servers


def members(scheduler: lblcr.Scheduler, servers: list[RealServer], now: float) -> list[int]:
    """The positions of the set's servers: the only idle server is picked if it is in the set."""
    found = []
    for place, server in enumerate(servers):
        for other in servers:
            other.active, other.weight = 1, 9
        server.active = 0
        if place_of(scheduler, servers, now) == place:
            found.append(place)
    return found


def test_lblcr_removes_the_most_loaded_once_a_day() -> None:
    scheduler, servers = rushed(3)
    servers[0].active, servers[1].active, servers[2].active = 1, 3, 2
    for now in (DAY / 2, DAY + 3):  # not longer than a day since the last change
        assert place_of(scheduler, servers, now) == 0
    assert members(scheduler, servers, DAY + 3) == [0, 1, 2]
    servers[0].active, servers[1].active, servers[2].active = 1, 3, 2
    assert place_of(scheduler, servers, DAY + 4) == 0
    assert members(scheduler, servers, DAY + 5) == [0, 2]
    assert members(scheduler, servers, 1.5 * DAY) == [0, 2]


def test_lblcr_keeps_a_quiesced_server_in_the_set() -> None:
    scheduler, servers = rushed(2)
    servers[0].active, servers[1].active, servers[1].weight = 1, 9, 0
    assert place_of(scheduler, servers, DAY / 2) == 0
    assert place_of(scheduler, servers, DAY + 9) == 0  # and leaves the set, as the only one with a weight
    assert members(scheduler, servers, DAY + 10) == [1]


def test_lblcr_passes_a_deleted_server_over_until_it_comes_back() -> None:
    scheduler, servers = rushed(2)
    servers[0].active, servers[1].active, servers[1].configured = 5, 0, False
    assert place_of(scheduler, [servers[0], *servers[2:]], DAY / 2) == 0
    servers[1].configured = True
    assert place_of(scheduler, servers, DAY / 2) == 1


def test_the_expiration_can_be_set() -> None:
    for scheduler in (lblc.Scheduler(expiration=60), lblcr.Scheduler(expiration=60)):
        servers = servers_of((1, 0), (1, 0))
        assert place_of(scheduler, servers, 0.0) == 0
        servers[0].active = 1
        assert place_of(scheduler, servers, 59.0) == 0
        assert place_of(scheduler, servers, 119.0) == 1


@given(active=st.integers(0, 20), weight=st.integers(0, 9), others=st.lists(st.tuples(places, places)))
def test_overloaded_is_more_than_the_weight_while_another_is_half_idle(
    active: int, weight: int, others: list[tuple[int, int]]
) -> None:
    servers = servers_of((weight, active), *others)
    assert overloaded(servers[0], servers) == too_much(servers[0], servers)


def test_the_memory_of_destinations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_load, "MAX_DESTINATIONS", 3)
    known: Destinations[int] = Destinations()
    for number in range(3):
        known.put(str(number), number, 0.0)
    assert known.find("0", 1.0, DAY) == 0  # used again, so 1 is the oldest
    known.put("3", 3, 2.0)
    assert len(known) == 3
    assert [known.find(str(number), 3.0, DAY) for number in range(4)] == [0, None, 2, 3]


def test_unused_destinations_are_forgotten() -> None:
    known: Destinations[int] = Destinations()
    known.put("old", 1, 0.0)
    known.put("used", 2, 0.0)
    assert known.find("used", 50.0, 100.0) == 2
    assert known.find("other", 100.0, 100.0) is None
    assert len(known) == 1
    assert known.find("used", 149.0, 100.0) == 2
