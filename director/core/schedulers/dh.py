"""Destination hashing: the server depends only on the address that the client asks for.

A table of 256 places is filled with the servers in turn, whatever their weights; the address
picks the place. When the server there is not available, nobody else takes over. Made for
caches in front of many addresses: with a single VIP all connections go to one server.
Source: Linux, ip_vs_dh.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import TYPE_CHECKING

from director.core.schedulers._hash import fold

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick

_BITS = 8


class Scheduler:
    def __init__(self) -> None:
        self._places: list[RealServer] | None = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        places = self.places_for(servers)
        if not places:
            return None
        place = fold(packet.destination.address, _BITS)
        server = places[place]
        why = f"dh: {packet.destination.address} has place {place} of {len(places)}"
        return (server, why) if server.available else None

    def places_for(self, servers: Sequence[RealServer]) -> Sequence[RealServer]:
        """The table, which is filled when it is first needed after a change."""
        if self._places is None:
            self._places = list(islice(cycle(servers), 1 << _BITS))
        return self._places

    def changed(self, servers: Sequence[RealServer]) -> None:  # noqa: ARG002
        """The table is filled when it is next needed: many changes may come at once."""
        self._places = None
