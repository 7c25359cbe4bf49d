"""The scheduler `smooth`: smooth weighted round robin. So far it picks no server: write it.

Every server has a number, its credit, which is 0 when the server is added. For each connection:

    1. each available server's credit grows by its weight
    2. the server with the largest credit gets the connection, the first in the list among equals
    3. the credit of that server falls by the sum of the weights of all available servers

A server that is not available (`server.available` is False: its weight is 0, or it is overloaded) takes
no part and keeps its credit. If no server is available, none is picked and no credit changes. A server
removed from the list is forgotten: if it returns, its credit is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


class Scheduler:
    """Each service that uses it has its own."""

    def __init__(self) -> None:
        self.credit: dict[RealServer, int] = {}

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        """The server for a new connection and, briefly, why: `return server, "smooth: because ..."`.

        `servers` is the service's list, in its order; each has a `weight`. `packet` opens the connection,
        `now` is the time in seconds; this scheduler needs neither.
        """
        return None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Called when servers are added or removed, or their weights change."""
