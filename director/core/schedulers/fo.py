"""Weighted failover: the server of the highest weight; on a tie, the first.

The others are standbys: a health checker sets the weight of a failed server to 0. Source: Linux, ip_vs_fo.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        highest = max((server for server in servers if server.available), key=_weight, default=None)
        return (highest, f"fo: weight {highest.weight} is the highest") if highest else None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""


def _weight(server: RealServer) -> int:
    return server.weight
