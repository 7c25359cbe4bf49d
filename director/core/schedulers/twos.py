"""The power of two choices: draw two servers by weight, take the one with less load per weight.

Hardly more work than a single draw, and a much more even load. The same seed gives the same draws, so
that an experiment can be repeated. Source: Mitzenmacher 2001; Linux, ip_vs_twos.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._load import lighter, overhead


class Scheduler:
    def __init__(self, *, seed: int = 2) -> None:
        self._random = random.Random(seed)

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        available = [server for server in servers if server.available]
        if not available:
            return None
        weights = [server.weight for server in available]
        first, second = self._random.choices(available, weights, k=2)
        picked = second if lighter(second, first, overhead) else first
        return picked, f"twos: of {first.address} and {second.address}, the one with less load per weight"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
