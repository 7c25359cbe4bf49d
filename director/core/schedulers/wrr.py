"""Weighted round robin: a server of weight 2 gets twice as many connections as one of weight 1.

The list is scanned again and again with a falling bar, the current weight: who weighs at
least as much gets a connection. At the end of the list the bar falls by the greatest common
divisor of all weights, and starts at the top again when it has reached the ground. Weights
4, 3, 2 give A A B A B C A B C. Source: Linux, ip_vs_wrr.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from director.core.schedulers import TurnScheduler

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


class Scheduler(TurnScheduler):
    def __init__(self) -> None:
        self.place = -1  # before the first server
        self.bar = self.top = self.step = 0

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        place = self._next(servers, self.place + 1)
        if place is None:
            heaviest = max((server.weight for server in servers if server.available), default=0)
            if not heaviest:
                return None
            self._lower(heaviest)
            place = self._next(servers, 0)
        assert place is not None  # the bar is no higher than the heaviest
        self.place, server = place, servers[place]
        return server, f"wrr: current weight {self.bar}, {server.address} of weight {server.weight} taken"

    def _next(self, servers: Sequence[RealServer], start: int) -> int | None:
        """The first place from `start` on whose server reaches the bar."""
        places = range(start, len(servers))
        return next((at for at in places if servers[at].available and servers[at].weight >= self.bar), None)

    @staticmethod
    def note(place: int, by: int, weights: Counter[int]) -> tuple[int, int]:  # noqa: ARG004
        """The greatest common divisor of the weights, and the top of the bar.

        The top is lowered by the divisor less one, so that the last round reaches a bar of 1.
        """
        divisor = math.gcd(*weights)
        return divisor, max(weights, default=0) - (divisor - 1)

    def follow(self, noted: tuple[int, int]) -> None:
        """Start at the head of the list, with the bar where the old one was if that is possible."""
        self.step, self.top = noted
        self.place = -1
        if not 0 < self.bar <= self.top:
            self.bar = self.top
        elif self.step > 1:
            self.bar = self.bar // self.step * self.step + 1

    def _lower(self, heaviest: int) -> None:
        """To the next bar that `heaviest` reaches: no round is made in which nobody does."""
        self.bar -= self.step
        for _ in range(2):  # at the ground it starts at the top again, which may be too high
            if self.bar > heaviest:
                self.bar -= -(-(self.bar - heaviest) // self.step) * self.step
            if self.bar <= 0:
                self.bar = self.top
