"""Locality-based least connection: a destination stays with its server, picked as wlc does.

Made for caches in front of many addresses: who has fetched a page serves it again. The server
is left only when it is gone, has weight 0, or is overloaded: more active connections than its
weight while another has less than half of its own. A destination that nobody has asked for in
24 hours is forgotten. As in Linux, a threshold keeps new destinations away, not those that a
server has. Source: Linux, ip_vs_lblc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from director.core.schedulers._load import EXPIRATION, Destinations, least, overhead, overloaded

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


class Scheduler:
    """`expiration` is in seconds."""

    def __init__(self, *, expiration: float = EXPIRATION) -> None:
        self.expiration = expiration
        self._known: Destinations[RealServer] = Destinations()

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        address = packet.destination.address
        known = self._known.find(address, now, self.expiration)
        if known is not None and known.configured and known.weight and not overloaded(known, servers):
            return known, f"lblc: {address} is with this server, which is not overloaded"
        server = least(servers, overhead)
        if server is None:
            return None
        self._known.keep(address, server, now)
        before = "is with nobody yet" if known is None else f"can't stay with {known.address}"
        return server, f"lblc: {address} {before}, and this server has the least load per weight"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing to do: a server that is gone is found out when its destination is asked for."""
