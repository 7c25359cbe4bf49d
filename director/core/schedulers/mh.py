"""Maglev hashing: as sh, but a change of the servers moves as few clients as possible.

Every server has an order of its own in which it would like the places of the table. In turns,
each takes the next place on its list that is still free, as many a turn as its weight says,
until the table is full. A server that goes leaves its places to the others, and they keep
theirs but for a few. With the flag mh-port the client's port counts as well; with mh-fallback
other places are tried until a server is available, where otherwise nobody takes over.
Source: Eisenbud and others, "Maglev", NSDI 2016; Linux, ip_vs_mh.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from director.core.packet import ip_to_int
from director.core.schedulers._hash import siphash

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick

PLACES = 4093  # Linux's default: a prime, so that every step through the table comes to every place
_LOOKUP, _SKIP = 2654435761, 2654446892  # keys of Linux's two hashes
_MOST_TURN_BITS = 6  # less than 64 turns in a round; larger weights are shifted down together


class Scheduler:
    """`fallback` and `port` are the flags mh-fallback and mh-port."""

    FLAGS = ("fallback", "port")

    def __init__(self, *, fallback: bool = False, port: bool = False) -> None:
        self.fallback, self.port = fallback, port
        self._places: list[RealServer] | None = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        places = self.places_for(servers)
        if not places:
            return None
        client = packet.source if self.port else packet.source.address
        known_by = ip_to_int(packet.source.address) + (packet.source.port if self.port else 0)
        for place in self._order(known_by):
            if places[place].available:
                return places[place], f"mh: {client} has place {place} of {PLACES}"
        return None

    def places_for(self, servers: Sequence[RealServer]) -> Sequence[RealServer]:
        """The table, which is filled when it is first needed after a change."""
        if self._places is None:
            self._places = _fill(servers)
        return self._places

    def _order(self, known_by: int) -> Iterator[int]:
        """The places to look at: as in Linux, a fallback hashes again, with one more each time."""
        first = siphash(known_by, _LOOKUP) % PLACES
        yield first
        if self.fallback:
            for step in range(PLACES):
                yield siphash(known_by + (first + step) % PLACES, _LOOKUP) % PLACES

    def changed(self, servers: Sequence[RealServer]) -> None:  # noqa: ARG002
        """The table is filled when it is next needed: many changes may come at once."""
        self._places = None


def _fill(servers: Sequence[RealServer]) -> list[RealServer]:
    turns = _turns(servers)
    if not turns:
        return []
    places: list[RealServer | None] = [None] * PLACES
    wishes = {server: _Wishes(server) for server in turns}
    filled = 0
    while filled < PLACES:
        for server, count in turns.items():
            for _ in range(min(count, PLACES - filled)):
                places[wishes[server].next_free(places)] = server
                filled += 1
    return [server for server in places if server is not None]


def _turns(servers: Sequence[RealServer]) -> dict[RealServer, int]:
    """How many places each server takes in a round; a quiet one keeps those that it had."""
    weights = {server: server.last_weight for server in servers if server.last_weight}
    if not weights:
        return {}
    divisor = math.gcd(*weights.values())
    shift = max(0, (max(weights.values()) // divisor).bit_length() - _MOST_TURN_BITS)
    return {server: max(1, weight // divisor >> shift) for server, weight in weights.items()}


class _Wishes:
    """The places of the table in the order in which one server would like them."""

    def __init__(self, server: RealServer) -> None:
        own = ip_to_int(server.address.address) + server.address.port
        self._place = siphash(own, _LOOKUP) % PLACES
        self._step = siphash(own, _SKIP) % (PLACES - 1) + 1

    def next_free(self, places: Sequence[RealServer | None]) -> int:
        while places[self._place] is not None:
            self._place = (self._place + self._step) % PLACES
        return self._place
