"""What rr and wrr have in common: whose turn it is depends on every step by which the servers change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from director.core.service import RealServer


class Follower(ABC):
    """Hears of each step instead of all together; a step is noted before, when nobody's turn is touched."""

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Start with these servers, or go on with them where the steps don't matter."""
        weights = Counter(server.weight for server in servers if server.weight > 0)
        self.follow(self.note(0, 0, weights))

    @staticmethod
    @abstractmethod
    def note(place: int, by: int, weights: Counter[int]) -> Any:
        """What has to be known of a server that came to `place` (`by` is 1), left it (-1), or changed (0).

        `weights` are all above 0, as they are then, each with the number of its servers.
        """

    @abstractmethod
    def follow(self, noted: Any) -> None:
        """That step has been taken."""
