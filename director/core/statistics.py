"""Counters of a service and of each of its real servers, and how fast they grow.

The rates are smoothed as in the kernel: every two seconds, a quarter of the difference between the rate
since the last estimate and the smoothed rate is added to the latter. Source: Linux, ip_vs_est.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from operator import attrgetter

PERIOD = 2.0  # seconds between two estimates
COUNTERS = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")
_COUNTS: Callable[[Statistics], tuple[int, ...]] = attrgetter(*COUNTERS)


class Statistics:
    """`in` is what came from clients, `out` what a VS-NAT real server replied; bytes are of IP packets."""

    __slots__ = ("_last", "_rates", "bytes_in", "bytes_out", "connections", "packets_in", "packets_out")

    def __init__(self) -> None:
        self.connections = self.packets_in = self.packets_out = self.bytes_in = self.bytes_out = 0
        self._last = self.counts()
        self._rates = [0.0] * len(COUNTERS)

    def __deepcopy__(self, _memo: object) -> Statistics:
        twin = copy(self)
        twin._rates = self._rates.copy()
        return twin

    def count_in(self, length: int) -> None:
        self.packets_in += 1
        self.bytes_in += length

    def count_out(self, length: int) -> None:
        self.packets_out += 1
        self.bytes_out += length

    def estimate(self) -> None:
        """Update the rates; called every PERIOD seconds."""
        counts = self.counts()
        if counts == self._last and not any(self._rates):
            return
        for index, (count, before) in enumerate(zip(counts, self._last, strict=True)):
            self._rates[index] += ((count - before) / PERIOD - self._rates[index]) / 4
        self._last = counts

    def as_dict(self) -> dict[str, object]:
        """JSON-ready: the counters, and `rates`, the same per second."""
        rates = (round(rate) for rate in self._rates)
        return {
            **dict(zip(COUNTERS, self.counts(), strict=True)),
            "rates": dict(zip(COUNTERS, rates, strict=True)),
        }

    def counts(self) -> tuple[int, ...]:
        """The counters in the order of COUNTERS."""
        return _COUNTS(self)

    def resume(self, counts: Iterable[int]) -> None:
        """Continue from these counters; the rates start again from the next estimate."""
        for name, count in zip(COUNTERS, counts, strict=True):
            setattr(self, name, count)
        self._last = self.counts()
