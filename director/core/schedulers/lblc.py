"""Locality-based least connection: a destination stays with its server, picked as wlc does.

Made for caches in front of many addresses: the server that has fetched a page serves it again. A
destination leaves its server only when that is gone, has weight 0 or is overloaded: more active
connections than its weight while another server has less than half of its own. A destination that no
client has used for 24 hours is forgotten. As in Linux, an upper threshold keeps new destinations away, not
those that the server already has. Source: Linux, ip_vs_lblc.
"""

from __future__ import annotations

from collections.abc import Sequence

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._load import EXPIRATION, Destinations, least, overhead, overloaded


class Scheduler:
    """`expiration` is in seconds."""

    def __init__(self, *, expiration: float = EXPIRATION) -> None:
        self.expiration = expiration
        self._destinations: Destinations[RealServer] = Destinations()

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        address = packet.destination.address
        known = self._destinations.find(address, now, self.expiration)
        if known is not None and known.configured and known.weight and not overloaded(known, servers):
            return known, f"lblc: {address} stays with this server, which is not overloaded"
        server = least(servers, overhead)
        if server is None:
            return None
        self._destinations.put(address, server, now)
        before = "has no server yet" if known is None else f"can't stay with {known.address}"
        return server, f"lblc: {address} {before}; this server has the least load per weight"

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing to do: a deleted server is noticed when its destination is next used."""
