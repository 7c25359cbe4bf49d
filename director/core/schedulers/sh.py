"""Source hashing: a client comes to the same server again, without the director remembering it.

A table of 256 places is filled with the servers in turn, each getting as many places as its
weight says (one even with weight 0); the client's address picks the place. When the server
there is not available, nobody else takes over. Source: Linux, ip_vs_sh.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING

from director.core.schedulers._hash import fold

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.schedulers import Pick
    from director.core.service import RealServer

_BITS = 8


class Scheduler:
    def __init__(self) -> None:
        self._places: list[RealServer] = []

    def pick(self, servers: Sequence[RealServer], packet: Packet) -> Pick | None:  # noqa: ARG002
        if not self._places:
            return None
        place = fold(packet.source.address, _BITS)
        server = self._places[place]
        why = f"sh: {packet.source.address} has place {place} of {len(self._places)}"
        return (server, why) if server.available else None

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Fill the table anew."""
        turns = (server for one in cycle(servers) for server in repeat(one, max(1, one.weight)))
        self._places = list(islice(turns, 1 << _BITS))
