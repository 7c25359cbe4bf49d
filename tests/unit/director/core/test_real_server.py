"""Connection thresholds (ipvsadm -x, -y): when a server gets no more, and when it does again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core import schedulers
from director.core.commands import AddServer, AddService, EditServer, ServiceKey
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import BadValue
from director.core.packet import ACK, FIN, TCP, Endpoint
from director.core.real_server import Method, RealServer
from tests.unit.director.core.support import WEB, client, tcp

KEY = ServiceKey(TCP, WEB)
LIMITED, OTHER = Endpoint("203.0.113.11", 80), Endpoint("203.0.113.12", 80)


def new_server(upper: int, lower: int = 0) -> RealServer:
    return RealServer(LIMITED, 1, Method.DR, upper, lower)


@pytest.mark.parametrize(("upper", "lower", "again_at"), [(8, 0, 5), (8, 3, 2), (8, 8, 7), (1, 0, 0)])
def test_from_the_upper_threshold_until_below_the_lower(upper: int, lower: int, again_at: int) -> None:
    """Without a lower one, three quarters of the upper one."""
    server = new_server(upper, lower)
    for count in range(1, upper + 1):
        assert server.available
        server.count(active=False, by=1)
        assert server.available == (count < upper)
    for count in range(upper - 1, -1, -1):
        server.count(active=False, by=-1)
        assert server.available == (count <= again_at)


@given(st.integers(1, 20), st.integers(0, 20), st.lists(st.sampled_from("+-*"), max_size=60))
def test_a_change_of_state_does_not_change_the_total(upper: int, lower: int, steps: list[str]) -> None:
    server = new_server(upper, min(lower, upper))
    for step in steps:
        total, before = server.active + server.inactive, server.overloaded
        if step == "+":
            server.count(active=False, by=1)
            assert server.overloaded == (before or total + 1 >= upper)
        elif step == "-" and server.inactive:
            server.count(active=False, by=-1)
        elif step == "*" and server.inactive:
            server.count_state_change(active=True)
            assert server.overloaded == before
            server.count_state_change(active=False)
        assert server.overloaded or server.active + server.inactive < upper


def test_without_a_threshold_a_server_is_never_overloaded() -> None:
    server = new_server(0)
    for _ in range(1000):
        server.count(active=False, by=1)
    assert server.available


def limited(**options: Any) -> Director:
    director = Director(method=Method.DR, scheduler="rr")
    director.apply([AddService(KEY), AddServer(KEY, OTHER), AddServer(KEY, LIMITED, **options)], 0)
    return director


def hops(director: Director, ports: range, now: float = 0) -> list[str]:
    decisions = [director.decide(tcp(client(port), WEB), now) for port in ports]
    return [decision.next_hop for decision in decisions if isinstance(decision, Forward)]


def test_an_overloaded_server_gets_no_connection_until_some_have_ended() -> None:
    director = limited(upper=2)
    assert hops(director, range(1, 8)).count(LIMITED.address) == 2
    director.expire(100)
    assert hops(director, range(11, 15), 100).count(LIMITED.address) == 2


def test_an_overloaded_servers_connections_continue() -> None:
    director = limited(upper=1)
    assert hops(director, range(1, 2)) == [LIMITED.address]
    for flags in (ACK, FIN | ACK, ACK):
        decision = director.decide(tcp(client(1), WEB, flags), 0)
        assert isinstance(decision, Forward)
        assert decision.next_hop == LIMITED.address


@pytest.mark.parametrize("upper", [0, 5])
def test_a_raised_or_removed_threshold_ends_the_overload(upper: int) -> None:
    director = limited(upper=1)
    hops(director, range(1, 4))
    director.apply([EditServer(KEY, LIMITED, upper=upper)], 0)
    assert LIMITED.address in hops(director, range(4, 6))


def test_a_lowered_threshold_does_not() -> None:
    director = limited(upper=2)
    hops(director, range(1, 6))
    director.apply([EditServer(KEY, LIMITED, upper=1)], 0)
    assert LIMITED.address not in hops(director, range(6, 10))


@pytest.mark.parametrize(("upper", "lower"), [(-1, 0), (5, 6), (2**31, 0), (0, 1)])
def test_impossible_thresholds_are_refused(upper: int, lower: int) -> None:
    director = limited()
    with pytest.raises(BadValue, match="threshold"):
        director.apply(
            [EditServer(KEY, LIMITED, weight=7), EditServer(KEY, OTHER, upper=upper, lower=lower)], 0
        )
    (service,) = director.rules
    assert [server.weight for server in service.servers] == [1, 1]


@pytest.mark.parametrize("name", schedulers.names())
def test_no_scheduler_picks_an_overloaded_server(name: str) -> None:
    servers = [RealServer(Endpoint(f"203.0.113.{host}", 80), 1, Method.DR, upper=1) for host in range(1, 5)]
    scheduler = schedulers.make(name)
    scheduler.changed(servers)
    for server in servers[:3]:
        server.count(active=True, by=1)
    for port in range(1, 200):
        picked = scheduler.pick(servers, tcp(client(port, f"10.0.0.{port}"), WEB), 0)
        assert picked is None or picked[0] is servers[3]
