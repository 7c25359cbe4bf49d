"""What lblc and lblcr have in common: a memory of destinations, and when a server is overloaded.

Nothing here has a clock: who asks says what time it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from director.core.service import RealServer

EXPIRATION = 24 * 3600.0  # seconds: lblc_expiration and lblcr_expiration of Linux
MOST = 16 * 1024  # destinations; Linux begins to clear up beyond that many

Known = TypeVar("Known")


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
