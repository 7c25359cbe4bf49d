"""What a decision of the core costs: .venv/bin/pytest tests/bench

With few connections and with a million, with one server and with a thousand. 2^12 buckets are the default;
for a million connections 2^20 are right, and the row with 2^12 shows why. Times are not asserted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import count, cycle

import pytest

from director.core import schedulers
from director.core.director import Director
from director.core.packet import ACK, Packet
from tests.bench.support import director, packet, reply

Benchmark = Callable[..., object]
TABLES = {
    "100 connections": (12, 100),
    "1,000,000, 2^20 buckets": (20, 1_000_000),
    "200,000, 2^12 buckets": (12, 200_000),
}
ROUNDS = 2000
GROWING = ("lc", "lblc", "lblcr", "nq", "sed", "twos", "wlc")  # look at every server
BY_ORDER = ("dh", "fo", "mh", "ovf", "rr", "sh", "wrr")


@cache
def filled(table: str) -> Director:
    bits, connections = TABLES[table]
    return director(bits=bits, connections=connections)


def measure(benchmark: Benchmark, made: Director, packets: Iterator[Packet], rounds: int = ROUNDS) -> None:
    """Each round decides about another packet, which is made beforehand."""
    run = benchmark.pedantic  # type: ignore[attr-defined]
    run(made.decide, setup=lambda: ((next(packets), 1.0), {}), rounds=rounds, warmup_rounds=50)


@pytest.mark.benchmark(group="a packet of a known connection")
@pytest.mark.parametrize("table", TABLES)
def test_request(benchmark: Benchmark, table: str) -> None:
    made, step = filled(table), 7919
    size = TABLES[table][1]
    measure(benchmark, made, (packet(number * step % size, ACK) for number in count()))


@pytest.mark.benchmark(group="a reply of a known connection")
@pytest.mark.parametrize("table", TABLES)
def test_reply(benchmark: Benchmark, table: str) -> None:
    made = filled(table)
    measure(benchmark, made, cycle([reply(made, number) for number in range(100)]))


@pytest.mark.benchmark(group="a new connection, wrr")
@pytest.mark.parametrize("table", TABLES)
def test_new(benchmark: Benchmark, table: str) -> None:
    measure(benchmark, filled(table), (packet(number) for number in count(2_000_000)))


@pytest.mark.benchmark(group="a packet that belongs to nothing")
@pytest.mark.parametrize("table", TABLES)
def test_stray(benchmark: Benchmark, table: str) -> None:
    measure(benchmark, filled(table), (packet(number, ACK) for number in count(4_000_000)))


@pytest.mark.benchmark(group="a new connection, by scheduler and servers")
@pytest.mark.parametrize("servers", [1, 1000])
@pytest.mark.parametrize("scheduler", [*BY_ORDER, *GROWING])
def test_scheduler(benchmark: Benchmark, scheduler: str, servers: int) -> None:
    made = director(servers, scheduler)
    measure(benchmark, made, (packet(number) for number in count()), rounds=300)


def test_every_scheduler_is_measured() -> None:
    assert sorted([*BY_ORDER, *GROWING]) == list(schedulers.names())
