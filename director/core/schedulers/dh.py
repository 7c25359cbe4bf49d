"""Destination hashing: the server depends only on the address that the client asks for.

A table of 256 places is filled with the servers in turn, whatever their weights; the address
picks the place. When the server there is not available, nobody else takes over. Made for
caches in front of many addresses: with a single VIP all connections go to one server.
Source: Linux, ip_vs_dh.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from director.core.schedulers._hash import fold

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.schedulers import Pick
    from director.core.service import RealServer

_BITS = 8


class Scheduler:
    def __init__(self) -> None:
        self.places: list[RealServer] = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        if not self.places:
            return None
        place = fold(packet.destination.address, _BITS)
        server = self.places[place]
        why = f"dh: {packet.destination.address} has place {place} of {len(self.places)}"
        return (server, why) if server.available else None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Fill the table anew."""
        self.places = [servers[place % len(servers)] for place in range(1 << _BITS)] if servers else []
