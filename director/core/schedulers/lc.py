"""Least connection: the server with the least load; on a tie, the first. A weight counts only as zero or not.

The load counts an active connection as 256 inactive ones. Source: Linux, ip_vs_lc.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        available = [server for server in servers if server.available]
        if not available:
            return None
        chosen = min(available, key=lambda server: server.overhead)
        return chosen, f"lc: least load, {chosen.active} active and {chosen.inactive} inactive connections"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
