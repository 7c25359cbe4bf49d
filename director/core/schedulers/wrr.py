"""Weighted round robin: a server of weight 2 gets twice as many connections as one of weight 1.

The list is scanned again and again with a falling threshold, the current weight: a server that weighs at
least as much gets a connection. At the end of the list the current weight falls by the greatest common
divisor of all weights, and starts again from the maximum when it has reached 0. Weights 4, 3, 2 give
A A B A B C A B C. Source: Linux, ip_vs_wrr.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick, TurnScheduler

_KEPT = 3  # changes with the divisor 1: the first, the least, the last


class Scheduler(TurnScheduler):
    def __init__(self) -> None:
        self.position = -1  # before the first server
        self.current_weight = self.max_weight = self.step = 0

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        position = self._next(servers, self.position + 1)
        if position is None:
            heaviest = max((server.weight for server in servers if server.available), default=0)
            if not heaviest:
                return None
            self._lower(heaviest)
            position = self._next(servers, 0)
        assert position is not None  # the current weight is at most the heaviest
        self.position, server = position, servers[position]
        reason = f"wrr: current weight {self.current_weight}, {server.address} has weight {server.weight}"
        return server, reason

    def _next(self, servers: Sequence[RealServer], start: int) -> int | None:
        """The first position from `start` on whose server weighs at least the current weight."""
        minimum = self.current_weight
        for position in range(start, len(servers)):
            server = servers[position]
            if server.available and server.weight >= minimum:
                return position
        return None

    @staticmethod
    def plan_change(position: int, by: int, weights: Counter[int]) -> tuple[int, int]:  # noqa: ARG004
        """The greatest common divisor of the weights, and the maximum of the current weight.

        The maximum is lowered by the divisor less one, so that the last round has a current weight of 1.
        """
        divisor = math.gcd(*weights)
        return divisor, max(weights, default=0) - (divisor - 1)

    @staticmethod
    def merge(changes: list[tuple[int, int]], change: tuple[int, int]) -> None:
        """A repeated change has no effect; of many with the divisor 1, the least maximum counts.

        The first and the last of these are kept: a current weight of 0 becomes the maximum of the first.
        """
        if changes and changes[-1] == change:
            return
        if len(changes) >= _KEPT and {step for step, _ in (*changes[-_KEPT:], change)} == {1}:
            changes[-2] = 1, min(changes[-2][1], changes[-1][1])
            changes[-1] = change
        else:
            changes.append(change)

    def apply_change(self, change: tuple[int, int]) -> None:
        """Start at the head of the list, and keep the current weight if possible."""
        self.step, self.max_weight = change
        self.position = -1
        if not 0 < self.current_weight <= self.max_weight:
            self.current_weight = self.max_weight
        elif self.step > 1:
            self.current_weight = self.current_weight // self.step * self.step + 1

    def _lower(self, heaviest: int) -> None:
        """Lower the current weight to the next one that `heaviest` reaches; skip rounds without a server."""
        self.current_weight -= self.step
        for _ in range(2):  # at 0 it starts from the maximum, which may be too high
            if self.current_weight > heaviest:
                self.current_weight -= -(-(self.current_weight - heaviest) // self.step) * self.step
            if self.current_weight <= 0:
                self.current_weight = self.max_weight
