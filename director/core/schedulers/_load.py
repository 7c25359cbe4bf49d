"""What the least-connection schedulers share: load per weight, and a memory of destinations.

Nothing here has a clock: the caller passes the time in.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from director.core.real_server import RealServer

EXPIRATION = 24 * 3600.0  # seconds: lblc_expiration and lblcr_expiration of Linux
MOST = 16 * 1024  # destinations; Linux begins to clear up beyond that many

Known = TypeVar("Known")


def lighter(one: RealServer, other: RealServer, load: Callable[[RealServer], int]) -> bool:
    """Whether `one` has less load per weight; cross-multiplied, so that nothing is rounded."""
    return load(one) * other.weight < load(other) * one.weight


def least(servers: Iterable[RealServer], load: Callable[[RealServer], int]) -> RealServer | None:
    """The available server with the least load per weight, the first of equals."""
    best: RealServer | None = None
    best_load = best_weight = 0
    for server in servers:
        if server.weight and server.configured and not server.overloaded:  # inlined: a thousand may come
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


class Destinations(Generic[Known]):
    """What is known about each destination address, until nobody has asked for it for some time.

    When there are too many, the one that has not been asked for longest is forgotten.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Known, float]] = OrderedDict()  # and when it was last used

    def __len__(self) -> int:
        return len(self._known)

    def find(self, address: str, now: float, expiration: float) -> Known | None:
        """What is known about `address`; asking is using it."""
        self._forget(now - expiration)
        if address not in self._known:
            return None
        known, _ = self._known[address]
        self.keep(address, known, now)
        return known

    def keep(self, address: str, known: Known, now: float) -> None:
        """Remember `known`, in place of what was known."""
        self._known[address] = known, now
        self._known.move_to_end(address)
        if len(self._known) > MOST:
            self._known.popitem(last=False)

    def _forget(self, since: float) -> None:
        """The least recently used come first, so the first that is kept ends the search."""
        while self._known:
            address, (_, used) = next(iter(self._known.items()))
            if used > since:
                return
            del self._known[address]


def overloaded(server: RealServer, servers: Sequence[RealServer]) -> bool:
    """More active connections than its weight, while another has less than half of its own weight."""
    return server.active > server.weight and any(other.active * 2 < other.weight for other in servers)
