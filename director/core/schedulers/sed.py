"""Shortest expected delay: the least (active + 1) / weight, the first of equals.

The connection that is to come is counted, so that a fast server is not passed over for a slow
one that happens to be idle. Source: Linux, ip_vs_sed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from director.core.schedulers._load import expected_delay, least

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        server = least(servers, expected_delay)
        if server is None:
            return None
        return server, f"sed: {server.active} active + 1 over weight {server.weight} is the least"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
