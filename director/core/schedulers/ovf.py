"""Weighted overflow: the server of the highest weight that has room, the first of equals.

A weight is how many active connections a server is to have; one that has more than its weight
is full, and its connections flow over to the next. Source: Linux, ip_vs_ovf.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        roomy = [server for server in servers if server.available and server.active <= server.weight]
        if not roomy:
            return None
        picked = max(roomy, key=lambda server: server.weight)
        return picked, f"ovf: weight {picked.weight} is the highest with room, {picked.active} are active"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
