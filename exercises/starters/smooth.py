"""The scheduler `smooth`: smooth weighted round robin. Here it picks nobody: write it.

Every server has a number, its credit, which is 0 when the server comes. For each connection:

    1. each available server's credit grows by its weight
    2. the server with the largest credit gets the connection, the first in the list among equals
    3. the credit of that server falls by the sum of the weights of all available servers

A server that is not available (`server.available` is False: its weight is 0, or it is overloaded) takes
no part and keeps its credit. Where nobody is available nobody is picked, and no credit changes. A server
that has gone from the list is forgotten: when it comes back its credit is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


class Scheduler:
    """One for each service that uses it."""

    def __init__(self) -> None:
        self.credit: dict[RealServer, int] = {}

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        """The server for a new connection and, in a few words, why: `return server, "smooth: because ..."`.

        `servers` is the service's list, in its order; each has a `weight`. `packet` opens the connection,
        `now` is the time in seconds; this scheduler needs neither of them.
        """
        return None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Called when servers have come or gone, or have another weight."""
