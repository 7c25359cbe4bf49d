"""Never queue: the first server without an active connection; if none is idle, as sed.

Source: Linux, ip_vs_nq.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._load import expected_delay, least


class Scheduler:
    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        for server in servers:
            if server.available and server.active == 0:
                return server, "nq: the first without an active connection"
        busy = least(servers, expected_delay)
        if busy is None:
            return None
        return (
            busy,
            f"nq: none is idle; least expected delay, {busy.active} active + 1 over weight {busy.weight}",
        )

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing is remembered."""
