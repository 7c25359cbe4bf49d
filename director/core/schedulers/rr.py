"""Round robin: the next available server after the last one; weights count only as 0 or not.

Source: Linux, ip_vs_rr; paper, section on scheduling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from director.core.schedulers import TurnScheduler

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


class Scheduler(TurnScheduler):
    def __init__(self) -> None:
        self.last = -1  # place in the list of the server that was picked last

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        for step in range(1, len(servers) + 1):
            place = (self.last + step) % len(servers)
            if servers[place].available:
                self.last = place
                return servers[place], f"rr: the turn of server {place + 1} of {len(servers)}"
        return None

    @staticmethod
    def note(place: int, by: int, weights: Counter[int]) -> tuple[int, int]:  # noqa: ARG004
        return place, by

    def follow(self, noted: tuple[int, int]) -> None:
        """Go on behind the server that was last, or, if it is gone, behind the one before it."""
        place, by = noted
        if place <= self.last:
            self.last += by
