"""Counters and rates of a service and its servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.core.commands import (
    AddServer,
    AddService,
    DeleteServer,
    DeleteService,
    EditService,
    ServiceKey,
    Zero,
)
from director.core.decision import Forward
from director.core.director import Director
from director.core.errors import NoSuchService
from director.core.packet import ACK, SYN, TCP
from director.core.service import VirtualService
from director.core.statistics import PERIOD, Statistics
from tests.unit.director.core.support import FTP, RS1, RS2, WEB, client, published, tcp

KEY = ServiceKey(TCP, WEB)


def web(director: Director) -> VirtualService:
    return next(service for service in director.rules if service.key == KEY)


def visit(director: Director, port: int) -> None:
    decision = director.decide(tcp(client(port), WEB), 0)
    assert isinstance(decision, Forward)
    director.decide(tcp(decision.destination, client(port), SYN | ACK, length=52), 0)


def test_packets_and_bytes_of_both_directions() -> None:
    director = published()
    for port in (1, 2, 3):
        visit(director, port)
    assert web(director).stats.as_dict() | {"rates": None} == {
        "connections": 3,
        "packets_in": 3,
        "packets_out": 3,
        "bytes_in": 120,
        "bytes_out": 156,
        "rates": None,
    }
    assert [server.stats.connections for server in web(director).servers] == [2, 1]


def test_zeroing_one_service_leaves_the_others() -> None:
    director = published()
    visit(director, 1)
    director.decide(tcp(client(2), FTP), 0)
    director.apply([Zero(KEY)], 0)
    counted = {service.key.address.port: service.stats.packets_in for service in director.rules}
    assert counted == {80: 0, 21: 1}
    assert [server.stats.packets_in for server in web(director).servers] == [0, 0]
    assert [server.active for server in web(director).servers] == [1, 0]  # what is alive is no counter
    director.apply([Zero()], 0)
    assert [service.stats.packets_in for service in director.rules] == [0, 0]


def test_a_refused_list_zeroes_nothing() -> None:
    director = published()
    visit(director, 1)
    with pytest.raises(NoSuchService):
        director.apply([Zero(), Zero(ServiceKey(TCP, RS1))], 0)
    assert web(director).stats.packets_in == 1


def test_an_edited_service_keeps_its_counters() -> None:
    director = published()
    visit(director, 1)
    director.apply([EditService(KEY, "rr", persistent=60)], 0)
    assert (web(director).stats.connections, web(director).policy.scheduler_name) == (1, "rr")


def test_a_server_added_again_keeps_its_counters_but_not_in_another_service() -> None:
    director = published()
    visit(director, 1)
    director.apply([DeleteServer(KEY, RS2), AddServer(KEY, RS2)], 0)
    assert [server.stats.connections for server in web(director).servers] == [1, 0]
    director.apply([DeleteService(KEY), AddService(KEY), AddServer(KEY, RS2)], 0)
    assert [server.stats.connections for server in web(director).servers] == [0]
    assert [server.active for server in web(director).servers] == [1]  # its connection is still there


@given(st.integers(0, 5000))
def test_a_constant_rate_is_estimated(per_second: int) -> None:
    stats = Statistics()
    for _ in range(60):
        for _ in range(2):
            stats.packets_in += per_second
        stats.estimate()
    rates = stats.as_dict()["rates"]
    assert isinstance(rates, dict)
    assert rates["packets_in"] == pytest.approx(per_second, abs=1)


def test_a_rate_follows_by_a_quarter_and_fades() -> None:
    """As the kernel's estimator does."""
    stats = Statistics()
    stats.bytes_in = 8000
    observed = []
    for _ in range(3):
        stats.estimate()
        rates = stats.as_dict()["rates"]
        assert isinstance(rates, dict)
        observed.append(rates["bytes_in"])
    assert observed == [1000, 750, 562]


def test_the_director_estimates_every_other_second() -> None:
    director = published()
    for second in range(1, 60):
        for number in range(10):
            visit(director, 1024 + 10 * second + number)
        director.tick(second)
    rates = web(director).as_dict()["rates"]
    assert rates["connections"] == pytest.approx(10, abs=1)
    assert PERIOD == 2
