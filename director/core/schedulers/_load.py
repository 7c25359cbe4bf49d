"""What the least-connection schedulers share: load per weight, and a memory of destinations."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from director.core.real_server import RealServer

EXPIRATION = 24 * 3600.0  # seconds: lblc_expiration and lblcr_expiration of Linux
MAX_DESTINATIONS = 16 * 1024  # beyond which Linux starts to clean up

Value = TypeVar("Value")


def lighter(server: RealServer, other: RealServer, load: Callable[[RealServer], int]) -> bool:
    """Whether `server` has less load per weight; cross-multiplied, so that nothing is rounded."""
    return load(server) * other.weight < load(other) * server.weight


def least(servers: Iterable[RealServer], load: Callable[[RealServer], int]) -> RealServer | None:
    """The available server with the least load per weight; on a tie, the first."""
    best: RealServer | None = None
    best_load = best_weight = 0
    for server in servers:
        if server.weight and server.configured and not server.overloaded:  # `available`, inlined for speed
            own_load, weight = load(server), server.weight
            if best is None or own_load * best_weight < best_load * weight:
                best, best_load, best_weight = server, own_load, weight
    return best


def most(servers: Iterable[RealServer], load: Callable[[RealServer], int]) -> RealServer | None:
    """The server of a weight above 0 with the most load per weight; on a tie, the first."""
    worst: RealServer | None = None
    for server in servers:
        if server.weight > 0 and (worst is None or lighter(worst, server, load)):
            worst = server
    return worst


def overhead(server: RealServer) -> int:
    """An active connection weighs as much as 256 inactive ones."""
    return server.overhead


def expected_delay(server: RealServer) -> int:
    """The active connections, including the one to come."""
    return server.active + 1


def overloaded(server: RealServer, servers: Sequence[RealServer]) -> bool:
    """More active connections than its weight, while another has less than half of its own weight."""
    return server.active > server.weight and any(other.active * 2 < other.weight for other in servers)


class Destinations(Generic[Value]):
    """A value for each destination address, forgotten when it has not been used for some time.

    When there are too many, the least recently used is forgotten.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[Value, float]] = OrderedDict()  # value, time of last use

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, address: str, now: float, expiration: float) -> Value | None:
        """The value for `address`, which counts as used now."""
        self._expire(now - expiration)
        if address not in self._entries:
            return None
        value, _ = self._entries[address]
        self.put(address, value, now)
        return value

    def put(self, address: str, value: Value, now: float) -> None:
        """Remember `value`, in place of any earlier one."""
        self._entries[address] = value, now
        self._entries.move_to_end(address)
        if len(self._entries) > MAX_DESTINATIONS:
            self._entries.popitem(last=False)

    def _expire(self, since: float) -> None:
        """The least recently used come first, so the first one kept ends the search."""
        while self._entries:
            address, (_, used) = next(iter(self._entries.items()))
            if used > since:
                return
            del self._entries[address]
