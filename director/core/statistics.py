"""What is counted for a service and for each of its real servers, and how fast it grows.

The rates are smoothed as the kernel does it: every two seconds a quarter of the difference
between what was counted since and the rate so far is added to it. Source: Linux, ip_vs_est.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from operator import attrgetter

PERIOD = 2.0  # seconds between two estimates
COUNTERS = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")
_COUNTS: Callable[[Statistics], tuple[int, ...]] = attrgetter(*COUNTERS)


class Statistics:
    """`in` is what came from clients, `out` what a VS-NAT real server replied; bytes of IP packets."""

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
        """To be called every PERIOD seconds."""
        now = self.counts()
        if now == self._last and not any(self._rates):
            return
        for place, (count, before) in enumerate(zip(now, self._last, strict=True)):
            self._rates[place] += ((count - before) / PERIOD - self._rates[place]) / 4
        self._last = now

    def as_dict(self) -> dict[str, object]:
        """JSON-ready: the counters, and `rates`, the same per second."""
        rates = (round(rate) for rate in self._rates)
        return {
            **dict(zip(COUNTERS, self.counts(), strict=True)),
            "rates": dict(zip(COUNTERS, rates, strict=True)),
        }

    def counts(self) -> tuple[int, ...]:
        """In the order of COUNTERS."""
        return _COUNTS(self)

    def resume(self, counts: Iterable[int]) -> None:
        """Go on from there; the rates begin anew."""
        for name, count in zip(COUNTERS, counts, strict=True):
            setattr(self, name, count)
        self._last = self.counts()
