"""Round robin: the next available server after the last one; weights count only as 0 or not.

Source: Linux, ip_vs_rr; paper, section on scheduling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.schedulers import Pick
    from director.core.service import RealServer


class Scheduler:
    def __init__(self) -> None:
        self._servers: tuple[RealServer, ...] = ()
        self.last = -1  # place in the list of the server that was picked last

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        for step in range(1, len(servers) + 1):
            place = (self.last + step) % len(servers)
            if servers[place].available:
                self.last = place
                return servers[place], f"rr: the turn of server {place + 1} of {len(servers)}"
        return None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Go on behind the server that was last, or, if it is gone, behind the one before it."""
        if self.last >= 0:  # it has picked
            places = {server: place for place, server in enumerate(servers)}
            before = (places.get(server, -1) for server in reversed(self._servers[: self.last + 1]))
            self.last = next((place for place in before if place >= 0), -1)
        self._servers = tuple(servers)
