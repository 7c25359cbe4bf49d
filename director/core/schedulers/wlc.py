"""Weighted least connection: the server with the least load per weight; on a tie, the first.

The load counts an active connection as 256 inactive ones. Source: Linux, ip_vs_wlc.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._load import least, overhead


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        server = least(servers, overhead)
        if server is None:
            return None
        load = f"{server.active} active and {server.inactive} inactive connections"
        return server, f"wlc: least load per weight, {load} over weight {server.weight}"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
