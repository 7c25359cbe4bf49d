"""Source hashing: a client comes to the same server again, without the director remembering it.

A table of 256 places is filled with the servers in turn, each getting as many places as its
weight says (one even with weight 0); the client's address picks the place. When the server
there is not available, nobody else takes over, unless the flag sh-fallback is set. With the
flag sh-port the client's port counts as well. Source: Linux, ip_vs_sh.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, islice, repeat
from typing import TYPE_CHECKING

from director.core.schedulers._hash import fold

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick

_BITS = 8


class Scheduler:
    """`fallback` and `port` are the flags sh-fallback and sh-port."""

    FLAGS = ("fallback", "port")

    def __init__(self, *, fallback: bool = False, port: bool = False) -> None:
        self.fallback, self.port = fallback, port
        self._places: list[RealServer] | None = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        places = self.places_for(servers)
        if not places:
            return None
        client = packet.source if self.port else packet.source.address
        first = fold(packet.source.address, _BITS, packet.source.port if self.port else 0)
        for place in self._order(first):
            if places[place].available:
                return places[place], f"sh: {client} has place {place} of {len(places)}"
        return None

    def _order(self, first: int) -> Iterator[int]:
        """The places to look at: as in Linux, a fallback begins at twice the first place."""
        yield first
        if self.fallback:
            for step in range(1 << _BITS):
                yield (2 * first + step) % (1 << _BITS)

    def places_for(self, servers: Sequence[RealServer]) -> Sequence[RealServer]:
        """The table, which is filled when it is first needed after a change."""
        if self._places is None:
            turns = (server for one in cycle(servers) for server in repeat(one, max(1, one.weight)))
            self._places = list(islice(turns, 1 << _BITS))
        return self._places

    def changed(self, servers: Sequence[RealServer]) -> None:  # noqa: ARG002
        """The table is filled when it is next needed: many changes may come at once."""
        self._places = None
