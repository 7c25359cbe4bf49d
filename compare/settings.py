"""The settings of a comparison. Rates are scaled down from the published ones.

A real server of 200 kbit/s is the published one of 400 kB/s, sixteen times slower; the director's link
has ten times that. Two processor cores run all hosts of the lab, so the links must be this slow to be the
limit; each point records whether they were.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from director import engines
from labs.errors import BadRequest
from labs.methods import METHODS
from labs.run.options import MOST_SERVERS

SERVER_KBIT = 200  # a real server's link by default
TIMES = 10  # the director's link has this many times a real server's rate
_COUNTS = (1, 2, 5, 10, 20, 50, 100, 200)
_QUICK = (1, 5, 10, 20)
_STEADY = 25  # connections; with more, the warm-up grows with their number
_LEAST_KBIT, _MOST_KBIT = 100, 1_000_000


def bytes_a_second(kbit: float) -> float:
    """The rate of a link of `kbit` kbit/s."""
    return kbit * 125.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Raises BadRequest for an invalid value."""

    methods: tuple[str, ...] = METHODS
    counts: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    engine: str = "scapy"
    family: int = 4  # the IP version
    server_kbit: int = SERVER_KBIT
    seconds: float = 4.0  # over which a point is measured
    warm_up: float = 2.0  # before that
    patience: float = 4.0  # longest wait until every connection receives data

    def __post_init__(self) -> None:
        if not self.methods or not set(self.methods) <= set(METHODS):
            raise BadRequest(f"--methods {','.join(self.methods)}: choose from {', '.join(METHODS)}.")
        if self.engine not in engines.names():
            raise BadRequest(
                f"--engine {self.engine!r} is unknown: choose from {', '.join(engines.names())}."
            )
        if not _LEAST_KBIT <= self.server_kbit <= _MOST_KBIT:
            raise BadRequest(f"--rate {self.server_kbit}: expected {_LEAST_KBIT} to {_MOST_KBIT} kbit/s.")

    def warm_up_for(self, count: int) -> float:
        """Seconds before a point is measured: with many clients, a queue takes longer to become steady."""
        return self.warm_up * max(1.0, count / _STEADY)

    @property
    def director_kbit(self) -> int:
        return TIMES * self.server_kbit

    @property
    def server_rate(self) -> float:
        """The rate of a real server's link, in bytes per second."""
        return bytes_a_second(self.server_kbit)

    @property
    def director_rate(self) -> float:
        return bytes_a_second(self.director_kbit)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "director_kbit": self.director_kbit}


def counts_up_to(servers: int, *, quick: bool) -> tuple[int, ...]:
    """The numbers of servers to measure: 1, 2, 5, 10, ... and `servers`. Raises BadRequest."""
    if not 1 <= servers <= MOST_SERVERS:
        raise BadRequest(f"--servers {servers}: a comparison has 1 to {MOST_SERVERS} real servers.")
    steps = _QUICK if quick else _COUNTS
    return tuple(sorted({*(count for count in steps if count < servers), servers}))
