"""Weighted failover: the server of the highest weight, the first of equals.

The others are stand-ins: whoever watches the servers sets a weight to 0. Source: Linux, ip_vs_fo.
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
        highest = max((server for server in servers if server.available), key=_weight, default=None)
        return (highest, f"fo: weight {highest.weight} is the highest") if highest else None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""


def _weight(server: RealServer) -> int:
    return server.weight
