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
        self._last = -1  # place in the list of the server that was picked last

    def pick(self, servers: Sequence[RealServer], packet: Packet) -> Pick | None:  # noqa: ARG002
        for step in range(1, len(servers) + 1):
            place = (self._last + step) % len(servers)
            if servers[place].available:
                self._last = place
                return servers[place], f"rr: the turn of server {place + 1} of {len(servers)}"
        return None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Stay where it was; a shorter list ends sooner."""
        self._last = min(self._last, len(servers) - 1)
