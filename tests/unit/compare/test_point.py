"""The limit at a point, and what a point is made of: the clients' logs and the processors' times."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from compare.point import Point, Processors, Sample, bytes_at, samples_in
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


def test_a_point_survives_json() -> None:
    measured = point("nat", 5, troubles=("the httpd of rs1 has ended",))
    assert Point.from_dict(measured.as_dict()) == measured


def test_bytes_through_the_director_and_cost_of_a_packet() -> None:
    measured = point("nat", 5, director_out=500.0, delivered=250.0, director_cpu=0.5, director_packets=1000.0)
    assert measured.through_director == 2
    assert measured.packet_cost == pytest.approx(500e-6)
    assert point("nat", 5, director_packets=0.0).packet_cost is None


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "load.log"
    assert samples_in(log) == []
    log.write_text(
        'a warning\n{"at": 1.0, "bytes": 5, "delivering": 1, "failed": 0}\n{"at": 1.1, "bytes": 9, "deli'
    )
    assert samples_in(log) == [Sample(1.0, 5, 1, 0)]


def test_between_two_samples_bytes_are_in_proportion() -> None:
    samples = [Sample(1.0, 100, 1, 0), Sample(2.0, 300, 1, 0)]
    assert bytes_at(samples, 1.5) == pytest.approx(200)
    assert bytes_at(samples, 1.0) == pytest.approx(100)
    assert bytes_at(samples, 5.0) == 300
    assert bytes_at(samples, 0.5) == 0


def test_shares_between_two_moments() -> None:
    first, last = Processors(0.0, 100.0, 200.0, 5.0), Processors(4.0, 102.0, 208.0, 6.0)
    assert first.idle_until(last) == pytest.approx(0.25)
    assert first.used_until(last) == pytest.approx(0.25)


def test_a_busy_process_has_used_processor_time() -> None:
    first, began = Processors.now(os.getpid()), time.process_time()
    while (worked := time.process_time() - began) < 0.3:  # however long a busy machine takes for it
        sum(range(10_000))
    last = Processors.now(os.getpid())
    assert first.used_until(last) * (last.at - first.at) == pytest.approx(worked, abs=0.1)
    assert 0 <= first.idle_until(last) < 1


def test_an_ended_process_is_an_error() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(OSError, match=str(child)):
        Processors.now(child)
