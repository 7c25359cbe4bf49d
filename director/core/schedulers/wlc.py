"""Weighted least connection: the server with the least load per weight, the first of equals.

Compared by cross multiplication, without a division, as in the kernel. Source: Linux, ip_vs_wlc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.schedulers import Pick
    from director.core.service import RealServer


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet) -> Pick | None:  # noqa: ARG002
        least: RealServer | None = None
        for server in servers:
            if server.available and (
                least is None or least.overhead * server.weight > server.overhead * least.weight
            ):
                least = server
        if least is None:
            return None
        load = f"{least.active} active and {least.inactive} inactive connections"
        return least, f"wlc: {load} over weight {least.weight} are the least"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
