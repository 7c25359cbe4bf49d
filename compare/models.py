"""Calculations beyond the measured points: the published arithmetic, and a model of the links.

The arithmetic gives the number of real servers that a director in VS-NAT supports. Published: packets have
536 bytes on average, rewriting one takes 60 us, so the director passes 536 / 60 us = 8.93 MB/s, which is 22
servers of 400 kB/s or 15 of 600 kB/s. The same is calculated with what a packet costs here: the scapy engine
in this run, and every engine in a kept result of `./inv bench`.

The model extends the curves to thousands of real servers and several directors. It is deterministic and has
two figures: servers deliver what their links carry, until the director's link is full. Both come from one
measured point, the calibration; the other points check it.

Several directors share the servers evenly, and the clients ask for as much as all servers together can
deliver. How many clients reach which director depends on

    DNS round robin     caching resolvers, a few with many clients and most with few (Zipf): a resolver
                        keeps one answer for all its clients until it expires
    consistent hashing  every client's address is looked up in the table of Maglev hashing, which is the
                        director's own scheduler mh

Requests beyond what a director or its servers can deliver are lost.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address
from pathlib import Path
from statistics import fmean, median

from compare.point import FULL, Point
from compare.results import Results
from compare.settings import TIMES, bytes_a_second
from director.core.packet import Endpoint
from director.core.real_server import Method, RealServer
from director.core.schedulers.mh import Scheduler

PACKET = 536  # bytes
REWRITING = 60e-6  # seconds, on a Pentium
SERVERS = (400e3, 600e3)  # bytes a second that a published real server delivers
BENCH = Path(__file__).resolve().parent.parent / "docs" / "bench"
_ENGINES = ("scapy", "ebpf", "ipvs")

SEED = 1999
RESOLVERS = 2000
_ANSWERS = 20  # rounds in which every resolver asks once; the result is their mean
_FIRST_DIRECTOR = int(IPv4Address("203.0.113.1"))


# ---- the published arithmetic ----


@dataclass(frozen=True, slots=True)
class Capacity:
    """A director that rewrites one packet in `cost` seconds, and where that figure comes from."""

    name: str
    cost: float
    source: str

    @property
    def rate(self) -> float:
        """Bytes per second that it forwards."""
        return PACKET / self.cost

    def servers(self, rate: float) -> float:
        """The number of real servers of that rate that fill it."""
        return self.rate / rate


PUBLISHED = Capacity("published", REWRITING, "Pentium, kernel 2.0.36")


def capacities(results: Results, kept: Path = BENCH) -> list[Capacity]:
    """The capacities of the published director, this run's engine, and every engine in a kept result."""
    return [PUBLISHED, *of_run(results), *_of_bench(kept)]


def of_run(results: Results) -> Iterator[Capacity]:
    """From VS-NAT's point with the highest rate: processor time of the director per packet."""
    points = [point for point in results.sound("nat") if point.packet_cost]
    if points and results.settings["engine"] == "scapy":  # the other engines work in the kernel's time
        busiest = max(points, key=lambda point: point.director_packets)
        source = f"this run: processor time of the director, {busiest.director_packets:.0f} packets/s"
        yield Capacity("scapy", busiest.packet_cost or 0.0, source)


def _of_bench(kept: Path) -> Iterator[Capacity]:
    """Kept results of the bench: the cost of a packet is one over the packets per second that arrived."""
    for file in sorted(kept.glob("*/results.json")):
        samples = json.loads(file.read_text())["samples"]
        for engine in _ENGINES:
            values = [
                sample["value"]
                for sample in samples
                if (sample["method"], sample["contender"], sample["figure"]) == ("nat", engine, "packets")
            ]
            if values:
                yield Capacity(
                    engine, 1 / median(values), f"docs/bench/{file.parent.name}: 64-byte packets/s"
                )


# ---- the model of the links ----


@dataclass(frozen=True, slots=True)
class Model:
    """Payload in bytes per second: of one `server`, and what the link of the `director` lets through."""

    method: str
    server: float
    director: float

    @classmethod
    def from_point(cls, point: Point, director_rate: float) -> Model:
        """A model calibrated by a point that the servers' links limit."""
        own = point.director_link * director_rate / point.delivered  # bytes on its busiest link per byte
        return cls(point.method, point.delivered / point.servers, director_rate / own)

    @property
    def knee(self) -> float:
        """The number of servers at which one director's link is full."""
        return self.director / self.server

    def delivered(self, servers: float) -> float:
        """Bytes per second with one director."""
        return min(servers * self.server, self.director)

    def shared(self, servers: float, rounds: Sequence[Sequence[float]]) -> float:
        """Bytes per second with several directors: the mean over rounds, each with a share per director."""
        wanted = servers * self.server
        return fmean(
            sum(min(wanted * share, self.delivered(servers / len(shares))) for share in shares)
            for shares in rounds
        )

    def directors_for(self, servers: int) -> int:
        """The number of directors with none of them full, if all get the same share of requests."""
        return max(1, -(-servers // max(1, int(FULL * self.knee))))


def calibrated(results: Results, method: str) -> Model | None:
    """A model calibrated by the largest point with at most half the servers that fill the director's link."""
    points = [point for point in results.sound(method) if point.servers <= TIMES // 2 and point.delivered]
    rate = bytes_a_second(results.settings["director_kbit"])
    return Model.from_point(points[-1], rate) if points else None


def deviations(results: Results, method: str) -> dict[int, float]:
    """By number of servers: the model's deviation from the measured rate, as a share of it."""
    model = calibrated(results, method)
    if model is None:
        return {}
    return {
        point.servers: model.delivered(point.servers) / point.delivered - 1
        for point in results.sound(method)
        if point.delivered
    }


@lru_cache
def by_dns(directors: int, seed: int = SEED) -> list[list[float]]:
    """Each director's share of the clients: a list for every round in which the resolvers ask."""
    sizes = [1 / rank for rank in range(1, RESOLVERS + 1)]
    chance, whole = random.Random(seed), sum(sizes)
    rounds = []
    for _ in range(_ANSWERS):
        shares = [0.0] * directors
        order = chance.sample(range(RESOLVERS), RESOLVERS)  # the order in which they ask
        for turn, resolver in enumerate(order):
            shares[turn % directors] += sizes[resolver] / whole
        rounds.append(shares)
    return rounds


@lru_cache
def by_hashing(directors: int) -> list[list[float]]:
    """Each director's share of the hash table, which is its share of a large number of clients."""
    backends = [
        RealServer(Endpoint(str(IPv4Address(_FIRST_DIRECTOR + number)), 80), 1, Method.DR)
        for number in range(directors)
    ]
    scheduler = Scheduler()
    scheduler.changed(backends)
    places = scheduler.table(backends)
    counts = Counter(map(id, places))
    return [[counts[id(backend)] / len(places) for backend in backends]]
