"""Locality-based least connection with replication: a destination has a set of servers.

As lblc, but a destination that is too much for its servers gets one more, picked as wlc does,
and the least loaded of the set serves it. A set that has not changed for 24 hours loses its
most loaded server, so that it shrinks when the rush is over. A deleted server stays in the sets, for
when it comes back. Source: Linux, ip_vs_lblcr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from director.core.schedulers._load import EXPIRATION, Destinations, least, most, overhead, overloaded

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer
    from director.core.schedulers import Pick


@dataclass(eq=False, slots=True)
class _Set:
    servers: list[RealServer]  # the newest first
    changed: float  # when

    def add(self, server: RealServer, now: float) -> None:
        if server not in self.servers:
            self.servers.insert(0, server)
            self.changed = now

    def shrink(self, now: float) -> None:
        heaviest = most(self.servers, overhead)
        if heaviest is not None:
            self.servers.remove(heaviest)
            self.changed = now


class Scheduler:
    """`expiration` is in seconds, for destinations and for changes of a set."""

    def __init__(self, *, expiration: float = EXPIRATION) -> None:
        self.expiration = expiration
        self._known: Destinations[_Set] = Destinations()

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        address = packet.destination.address
        known = self._known.find(address, now, self.expiration)
        if known is not None:
            server = self._of_set(known, now)
            if server is not None and not overloaded(server, servers):
                return server, f"lblcr: of the servers of {address} this one has the least load per weight"
        server = least(servers, overhead)
        if server is None:
            return None
        if known is None:
            known = _Set([], now)
            self._known.keep(address, known, now)
        known.add(server, now)
        return server, f"lblcr: {address} gets this server, which has the least load per weight of all"

    def _of_set(self, known: _Set, now: float) -> RealServer | None:
        """The least loaded of the set, which shrinks afterwards if its time has come."""
        server = least(known.servers, overhead)
        if len(known.servers) > 1 and now > known.changed + self.expiration:
            known.shrink(now)
        return server

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing to do: one that is gone is passed over when its destination is asked for."""
