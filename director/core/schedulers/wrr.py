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
        self.place = -1  # before the first server
        self.bar = self.top = self.step = 0

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        if not any(server.available for server in servers):
            return None
        while True:
            self.place += 1
            if self.place == len(servers):
                self.place = 0
                self._lower()
            server = servers[self.place]
            if server.available and server.weight >= self.bar:
                return (
                    server,
                    f"wrr: current weight {self.bar}, {server.address} of weight {server.weight} taken",
                )

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Start at the head of the list, with the bar where the old one was if that is possible.

        The top is lowered by the divisor less one, so that the last round reaches a bar of 1.
        """
        weights = [server.weight for server in servers if server.weight > 0]
        self.step = math.gcd(*weights)
        self.top = max(weights, default=0) - (self.step - 1)
        self.place = -1
        if not 0 < self.bar <= self.top:
            self.bar = self.top
        elif self.step > 1:
            self.bar = self.bar // self.step * self.step + 1

    def _lower(self) -> None:
        self.bar -= self.step
        if self.bar <= 0:
            self.bar = self.top
