"""Locality-based least connection with replication: a destination has a set of servers.

As lblc, but a destination whose servers are overloaded gets one more, picked as wlc does, and the least
loaded of the set serves it. A set that has not changed for 24 hours loses its most loaded server, so that
it shrinks when the rush is over. A deleted server stays in its sets, in case it comes back.
Source: Linux, ip_vs_lblcr.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._load import EXPIRATION, Destinations, least, most, overhead, overloaded


@dataclass(eq=False, slots=True)
class _ServerSet:
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
        self._destinations: Destinations[_ServerSet] = Destinations()

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        address = packet.destination.address
        known = self._destinations.find(address, now, self.expiration)
        if known is not None:
            server = self._least_of(known, now)
            if server is not None and not overloaded(server, servers):
                return server, f"lblcr: of the servers of {address}, this has the least load per weight"
        server = least(servers, overhead)
        if server is None:
            return None
        if known is None:
            known = _ServerSet([], now)
            self._destinations.put(address, known, now)
        known.add(server, now)
        return server, f"lblcr: {address} gets this server, which has the least load per weight of all"

    def _least_of(self, known: _ServerSet, now: float) -> RealServer | None:
        """The least loaded server of the set, which shrinks afterwards if it is time."""
        server = least(known.servers, overhead)
        if len(known.servers) > 1 and now > known.changed + self.expiration:
            known.shrink(now)
        return server

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Nothing to do: a deleted server is passed over when its destination is next used."""
