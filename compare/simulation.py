"""The curve carried on: up to thousands of real servers, and several directors.

A small deterministic model, all in one sentence: servers deliver what their links carry, unless the
director's link is full first. Both figures come from one measured point, the model's calibration; the
other measured points are what it is checked against.

Several directors share the servers evenly, and the clients ask for as much as all servers together
can deliver. What reaches which director is decided by

    DNS round robin     caching resolvers, some with many clients and most with few (Zipf): a resolver
                        keeps one answer for all its clients until it expires
    consistent hashing  every client's address is looked up in the table of Maglev hashing, which is
                        the director's own scheduler mh

A director that is asked for more than it or its servers can give delivers what it can, and the rest is lost.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address
from statistics import fmean

from compare.point import FULL, Point
from compare.results import Results
from compare.settings import TIMES, bytes_a_second
from director.core.packet import Endpoint
from director.core.real_server import Method, RealServer
from director.core.schedulers.mh import Scheduler

SEED = 1999
RESOLVERS = 2000
_ANSWERS = 20  # times that every resolver's answer expires; shares are the mean of what is delivered
_FIRST_DIRECTOR = int(IPv4Address("203.0.113.1"))


@dataclass(frozen=True, slots=True)
class Model:
    """`server`: bytes a second of payload from one; `director`: payload a second that its link lets by."""

    method: str
    server: float
    director: float

    @classmethod
    def from_point(cls, point: Point, director_rate: float) -> Model:
        """Calibrated by a point that the servers' links limit."""
        own = point.director_link * director_rate / point.delivered  # bytes on its busiest link for each byte
        return cls(point.method, point.delivered / point.servers, director_rate / own)

    @property
    def knee(self) -> float:
        """The number of servers at which one director's link is full."""
        return self.director / self.server

    def delivered(self, servers: float) -> float:
        """By one director."""
        return min(servers * self.server, self.director)

    def shared(self, servers: float, rounds: Sequence[Sequence[float]]) -> float:
        """By as many directors as each round has shares; the mean over the rounds."""
        wanted = servers * self.server
        return fmean(
            sum(min(wanted * share, self.delivered(servers / len(shares))) for share in shares)
            for shares in rounds
        )

    def directors_for(self, servers: int) -> int:
        """So many that none of them is full when all are asked for the same."""
        return max(1, -(-servers // max(1, int(FULL * self.knee))))


def calibrated(results: Results, method: str) -> Model | None:
    """By the largest point with no more than half the servers that fill the director's link."""
    points = [one for one in results.sound(method) if one.servers <= TIMES // 2 and one.delivered]
    rate = bytes_a_second(results.settings["director_kbit"])
    return Model.from_point(points[-1], rate) if points else None


def deviations(results: Results, method: str) -> dict[int, float]:
    """By number of servers: how far the model is from what was measured, as a share of that."""
    model = calibrated(results, method)
    if model is None:
        return {}
    return {
        one.servers: model.delivered(one.servers) / one.delivered - 1
        for one in results.sound(method)
        if one.delivered
    }


@lru_cache
def by_dns(directors: int, seed: int = SEED) -> list[list[float]]:
    """Shares of the clients at each director: a list for every time that the answers expire."""
    sizes = [1 / rank for rank in range(1, RESOLVERS + 1)]
    chance, whole = random.Random(seed), sum(sizes)
    rounds = []
    for _ in range(_ANSWERS):
        shares = [0.0] * directors
        order = chance.sample(range(RESOLVERS), RESOLVERS)  # in which they happen to ask
        for turn, resolver in enumerate(order):
            shares[turn % directors] += sizes[resolver] / whole
        rounds.append(shares)
    return rounds


@lru_cache
def by_hashing(directors: int) -> list[list[float]]:
    """Shares of the table's places, which is what clients in great number come to."""
    ends = [
        RealServer(Endpoint(str(IPv4Address(_FIRST_DIRECTOR + number)), 80), 1, Method.DR)
        for number in range(directors)
    ]
    scheduler = Scheduler()
    scheduler.changed(ends)
    places = scheduler.table(ends)
    counts = Counter(map(id, places))
    return [[counts[id(end)] / len(places) for end in ends]]
