"""Shortest expected delay: the least (active + 1) / weight; on a tie, the first.

The connection to come is counted, so that a fast server is not passed over for a slow one that happens to
be idle. Source: Linux, ip_vs_sed.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._load import expected_delay, least


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        server = least(servers, expected_delay)
        if server is None:
            return None
        return server, f"sed: least expected delay, {server.active} active + 1 over weight {server.weight}"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
