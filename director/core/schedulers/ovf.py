"""Weighted overflow: the server of the highest weight that has room; on a tie, the first.

A weight is the number of active connections that a server is meant to have; one that has more is full,
and new connections overflow to the next. Source: Linux, ip_vs_ovf.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        with_room = [server for server in servers if server.available and server.active <= server.weight]
        if not with_room:
            return None
        picked = max(with_room, key=lambda server: server.weight)
        return picked, f"ovf: weight {picked.weight} is the highest with room, {picked.active} active"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
