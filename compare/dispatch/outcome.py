"""The result of one approach to dispatching: before a server dies, after its death, after its removal."""

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
    """A page in a client's log; `at` is when it was complete or had failed."""

    at: float
    seconds: float
    ok: bool
    bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares are 0 to 1, times in seconds; `requests` and `bytes` are per server, from the servers' logs."""

    approach: str
    title: str
    requests: dict[str, int]  # while all servers were alive
    bytes: dict[str, int]
    busiest: float  # the largest share of requests that one server had within `window` seconds
    window: float
    pages: int
    median: float
    p95: float
    failed_before: float
    failed_dead: float  # while a server is dead but still in the rule or record
    failed_out: float  # after its rule or record was deleted
    taken_out: str  # how it was removed
    visitors: tuple[str, ...]  # client addresses in the servers' logs
    clients: tuple[str, ...]  # all client addresses

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
    """The pages in a client's log."""
    return [Page(**entry) for entry in json_lines.entries(log) if "at" in entry]


def between(pages: Sequence[Page], begin: float, end: float) -> list[Page]:
    """The pages that began and ended in this interval."""
    return [page for page in pages if begin <= page.at - page.seconds and page.at < end]


def failing(pages: Sequence[Page]) -> float:
    return sum(not page.ok for page in pages) / len(pages) if pages else float("nan")


def times(pages: Sequence[Page]) -> tuple[float, float]:
    """Median and 95th percentile of the successful pages."""
    good = [page.seconds for page in pages if page.ok]
    if len(good) < 2:
        return float("nan"), float("nan")
    return median(good), quantiles(good, n=20)[-1]


def busiest_share(counts: Sequence[Mapping[str, int]]) -> float:
    """The largest share of one server in any window; `counts` are running totals at the end of each."""
    shares = []
    for before, after in pairwise(counts):
        new = [after[name] - before[name] for name in after]
        if sum(new):
            shares.append(max(new) / sum(new))
    return max(shares, default=float("nan"))
