"""The arithmetic, and the model beyond the measured points: its limits and its agreement with them."""

from __future__ import annotations

import pytest

from compare import models
from compare.models import PUBLISHED, SERVERS, Model, by_dns, by_hashing, capacities
from tests.unit.compare.made import SETTINGS, whole


def test_the_published_figures_come_out() -> None:
    assert PUBLISHED.rate == pytest.approx(8.93e6, rel=0.001)
    assert [int(PUBLISHED.servers(rate)) for rate in SERVERS] == [22, 14]


def test_the_engine_of_the_run_is_counted_with_its_own_cost() -> None:
    published, own = capacities(whole())[:2]
    assert published is PUBLISHED
    assert own.name == "scapy"
    assert own.cost == pytest.approx(0.2 / (SETTINGS.director_rate / 1500))


@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_a_model_made_from_one_point_meets_all_others(method: str) -> None:
    assert all(abs(away) < 1e-9 for away in models.deviations(whole(), method).values())


def test_beyond_the_knee_one_director_delivers_no_more() -> None:
    model = Model("nat", 50e3, 500e3)
    assert model.knee == 10
    assert model.delivered(10_000) == model.delivered(10) == 500e3


@pytest.mark.parametrize("directors", [1, 2, 7, 100])
def test_shares_are_of_all_clients_and_the_same_every_time(directors: int) -> None:
    for shares in (*by_dns(directors), *by_hashing(directors)):
        assert len(shares) == directors
        assert sum(shares) == pytest.approx(1)
    assert by_dns.__wrapped__(directors) == by_dns(directors)


def test_caching_resolvers_spread_worse_than_hashing() -> None:
    model = Model("nat", 50e3, 500e3)
    servers = 900
    directors = model.directors_for(servers)
    dns = model.shared(servers, by_dns(directors))
    hashed = model.shared(servers, by_hashing(directors))
    assert dns < 0.8 * hashed
    assert model.delivered(servers) < dns < hashed <= servers * 50e3
