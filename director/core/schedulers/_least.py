"""What wlc, sed, nq, twos, lblc and lblcr have in common: a server's load in proportion to its weight."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from director.core.service import RealServer


def lighter(one: RealServer, other: RealServer, load: Callable[[RealServer], int]) -> bool:
    """Whether `one` has less load per weight; cross-multiplied, so that nothing is rounded."""
    return load(one) * other.weight < load(other) * one.weight


def least(servers: Iterable[RealServer], load: Callable[[RealServer], int]) -> RealServer | None:
    """The available server with the least load per weight, the first of equals."""
    best: RealServer | None = None
    best_load = best_weight = 0
    for server in servers:
        if server.weight and server.listed and not server.overloaded:  # available, but a thousand may come
            here, weight = load(server), server.weight
            if best is None or here * best_weight < best_load * weight:
                best, best_load, best_weight = server, here, weight
    return best


def most(servers: Iterable[RealServer], load: Callable[[RealServer], int]) -> RealServer | None:
    """The server of a weight above 0 with the most load per weight, the first of equals."""
    worst: RealServer | None = None
    for server in servers:
        if server.weight > 0 and (worst is None or lighter(worst, server, load)):
            worst = server
    return worst


def overhead(server: RealServer) -> int:
    """An active connection weighs as much as 256 inactive ones."""
    return server.overhead


def expected_delay(server: RealServer) -> int:
    """The active connections, with the one that is to come."""
    return server.active + 1
