"""Weighted round robin: a server of weight 2 gets twice as many connections as one of weight 1.

The list is scanned again and again with a falling bar, the current weight: who weighs at
least as much gets a connection. At the end of the list the bar falls by the greatest common
divisor of all weights, and starts at the top again when it has reached the ground. Weights
4, 3, 2 give A A B A B C A B C. Source: Linux, ip_vs_wrr.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.schedulers import Pick
    from director.core.service import RealServer


class Scheduler:
    def __init__(self) -> None:
        self._place = -1  # before the first server
        self._bar = self._top = self._step = 0

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        if not any(server.available for server in servers):
            return None
        while True:
            self._place += 1
            if self._place == len(servers):
                self._place = 0
                self._lower()
            server = servers[self._place]
            if server.available and server.weight >= self._bar:
                return (
                    server,
                    f"wrr: current weight {self._bar}, {server.address} of weight {server.weight} taken",
                )

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Start at the head of the list, with the bar where the old one was if that is possible.

        The top is lowered by the divisor less one, so that the last round reaches a bar of 1.
        """
        weights = [server.weight for server in servers if server.weight > 0]
        self._step = math.gcd(*weights)
        self._top = max(weights, default=0) - (self._step - 1)
        self._place = -1
        if not 0 < self._bar <= self._top:
            self._bar = self._top
        elif self._step > 1:
            self._bar = self._bar // self._step * self._step + 1

    def _lower(self) -> None:
        self._bar -= self._step
        if self._bar <= 0:
            self._bar = self._top
