"""Maglev hashing: as sh, but a change of the servers moves as few clients as possible.

Every server has an order of its own in which it would like the places of the table. In turns,
each takes the next place on its list that is still free, as many a turn as its weight says,
until the table is full. A server that goes leaves its places to the others, and they keep
theirs but for a few. With the flag mh-port the client's port counts as well; with mh-fallback
the next place whose server is available is taken, where otherwise nobody takes over.
Source: Eisenbud and others, "Maglev", NSDI 2016; Linux, ip_vs_mh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from director.core.schedulers._hash import digest

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.schedulers import Pick
    from director.core.service import RealServer

PLACES = 4093  # Linux's default: a prime, so that every step through the table comes to every place
_MOST_TURN_BITS = 6  # less than 64 turns in a round; larger weights are shifted down together


class Scheduler:
    """`fallback` and `port` are the flags mh-fallback and mh-port."""

    FLAGS = ("fallback", "port")

    def __init__(self, *, fallback: bool = False, port: bool = False) -> None:
        self.fallback, self.port = fallback, port
        self._places: list[RealServer] | None = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        if self._places is None:
            self._places = _fill(servers)
        if not self._places:
            return None
        client = str(packet.source) if self.port else packet.source.address
        first = digest(client, b"lookup") % PLACES
        for step in range(PLACES if self.fallback else 1):
            place = (first + step) % PLACES
            if self._places[place].available:
                return self._places[place], f"mh: {client} has place {place} of {PLACES}"
        return None

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
    """How many places each available server takes in a round."""
    weights = {server: server.weight for server in servers if server.available}
    if not weights:
        return {}
    divisor = math.gcd(*weights.values())
    shift = max(0, (max(weights.values()) // divisor).bit_length() - _MOST_TURN_BITS)
    return {server: max(1, weight // divisor >> shift) for server, weight in weights.items()}


class _Wishes:
    """The places of the table in the order in which one server would like them."""

    def __init__(self, server: RealServer) -> None:
        self._place = digest(str(server.address), b"offset") % PLACES
        self._step = digest(str(server.address), b"skip") % (PLACES - 1) + 1

    def next_free(self, places: Sequence[RealServer | None]) -> int:
        while places[self._place] is not None:
            self._place = (self._place + self._step) % PLACES
        return self._place
