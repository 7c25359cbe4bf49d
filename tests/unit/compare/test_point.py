"""What a point says was the limit."""

from __future__ import annotations

import pytest

from compare.point import Point
from tests.unit.compare.made import point


@pytest.mark.parametrize(
    ("busy", "limit"),
    [
        ({}, "the servers' links"),
        ({"director_link": 0.95}, "the director's link"),
        ({"server_links": 0.5}, "nothing that is measured"),
        ({"server_links": 0.5, "director_cpu": 0.97}, "the processor"),
        ({"server_links": 0.5, "idle": 0.02}, "the processor"),
    ],
)
def test_the_limit_is_what_is_full(busy: dict[str, float], limit: str) -> None:
    assert point("dr", 5, **busy).limited_by == limit


def test_a_point_survives_its_dictionary() -> None:
    one = point("nat", 5, troubles=("the httpd of rs1 has ended",))
    assert Point.from_dict(one.as_dict()) == one


def test_bytes_through_the_director_and_cost_of_a_packet() -> None:
    one = point("nat", 5, director_out=500.0, delivered=250.0, director_cpu=0.5, director_packets=1000.0)
    assert one.through_director == 2
    assert one.packet_cost == pytest.approx(500e-6)
    assert point("nat", 5, director_packets=0.0).packet_cost is None
