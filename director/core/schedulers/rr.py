"""Round robin: the next available server after the last one; a weight counts only as zero or not.

Source: Linux, ip_vs_rr; paper, section on scheduling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick, TurnScheduler


class Scheduler(TurnScheduler):
    def __init__(self) -> None:
        self.position = -1  # in the list, of the server picked last

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        for step in range(1, len(servers) + 1):
            position = (self.position + step) % len(servers)
            if servers[position].available:
                self.position = position
                return servers[position], f"rr: turn of server {position + 1} of {len(servers)}"
        return None

    @staticmethod
    def plan_change(position: int, by: int, weights: Counter[int]) -> tuple[int, int]:  # noqa: ARG004
        return position, by

    @staticmethod
    def merge(changes: list[tuple[int, int]], change: tuple[int, int]) -> None:
        if change[1]:  # an edited server has the same turn
            changes.append(change)

    def apply_change(self, change: tuple[int, int]) -> None:
        """Go on after the server picked last or, if it is gone, after the one before it."""
        position, by = change
        if position <= self.position:
            self.position += by
