"""The power of two choices: draw two servers by weight, take the one with less load per weight.

It takes hardly more work than a single draw, and the load is much more even. The same seed gives the same
draws, so that an experiment can be repeated. The kernel draws a number from 0 to the sum of the weights, both
included: the first server has one chance more than its weight. Source: Mitzenmacher 2001; Linux, ip_vs_twos.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._load import lighter, overhead


class Scheduler:
    """`draw` returns a random number from 0 to below its argument."""

    def __init__(self, *, seed: int = 2, draw: Callable[[int], int] | None = None) -> None:
        self._draw = draw or random.Random(seed).randrange

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        available = [server for server in servers if server.available]
        if not available:
            return None
        numbers = sum(server.weight for server in available) + 1
        first, second = (_at(available, self._draw(numbers)) for _ in range(2))
        picked = second if lighter(second, first, overhead) else first
        return picked, f"twos: of {first.address} and {second.address}, the one with less load per weight"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""


def _at(servers: Sequence[RealServer], number: int) -> RealServer:
    """The first server at which the sum of the weights reaches `number`."""
    reached = 0
    for server in servers:
        reached += server.weight
        if reached >= number:
            break
    return server
