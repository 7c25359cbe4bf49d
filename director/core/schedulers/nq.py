"""Never queue: the first server without an active connection; where none is idle, as sed.

Source: Linux, ip_vs_nq.
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
        for server in servers:
            if server.available and server.active == 0:
                return server, "nq: the first without an active connection"
        busy = least(servers, expected_delay)
        if busy is None:
            return None
        return busy, f"nq: none is idle; {busy.active} active + 1 over weight {busy.weight} is the least"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
