"""What one approach to dispatching did: before a server died, after that, and after it was taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from labs.run import json_lines


@dataclass(frozen=True, slots=True)
class Page:
    """One page as a client saw it; `at` is when it was there or given up."""

    at: float
    seconds: float
    ok: bool
    bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares are 0 to 1, times in seconds; `requests` and `bytes` are by server, from the servers' logs."""

    approach: str
    title: str
    requests: dict[str, int]  # while all servers lived
    bytes: dict[str, int]
    busiest: float  # the largest share of requests that one server had within `window` seconds
    window: float
    pages: int
    median: float
    p95: float
    failed_before: float
    failed_dead: float  # a server is dead and nobody has been told
    failed_out: float  # the rule, the record, whatever names it is gone
    taken_out: str  # how
    visitors: tuple[str, ...]  # client addresses in the servers' logs
    clients: tuple[str, ...]  # the clients' own

    def as_dict(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self.__slots__}

    @property
    def sees_client(self) -> bool:
        return set(self.visitors) <= set(self.clients)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Outcome:
        tuples = {name: tuple(fields[name]) for name in ("visitors", "clients")}
        return cls(**{**fields, **tuples})


def pages_in(log: Path) -> list[Page]:
    """All complete lines of a client's log."""
    return [Page(**entry) for entry in json_lines.entries(log) if "at" in entry]


def between(pages: Sequence[Page], begin: float, end: float) -> list[Page]:
    """Those that were begun and ended within."""
    return [one for one in pages if begin <= one.at - one.seconds and one.at < end]


def failing(pages: Sequence[Page]) -> float:
    return sum(not one.ok for one in pages) / len(pages) if pages else float("nan")


def times(pages: Sequence[Page]) -> tuple[float, float]:
    """Median and 95th percentile of the pages that came."""
    good = [one.seconds for one in pages if one.ok]
    if len(good) < 2:
        return float("nan"), float("nan")
    return median(good), quantiles(good, n=20)[-1]


def busiest_share(counts: Sequence[Mapping[str, int]]) -> float:
    """Of one server within one window; `counts` are running totals at the windows' ends."""
    shares = []
    for before, after in pairwise(counts):
        new = [after[name] - before[name] for name in after]
        if sum(new):
            shares.append(max(new) / sum(new))
    return max(shares, default=float("nan"))
