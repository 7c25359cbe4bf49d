"""Destination hashing: the server depends only on the address that the client connects to.

A table of 256 buckets is filled with the servers in turn, whatever their weights; a hash of the address
picks the bucket. If its server is not available, no other takes over. Made for caches in front of many
addresses: with a single VIP all connections go to one server. Source: Linux, ip_vs_dh.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._hash import fold

_BITS = 8


class Scheduler:
    def __init__(self) -> None:
        self._table: list[RealServer] | None = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        table = self.table(servers)
        if not table:
            return None
        bucket = fold(packet.destination.address, _BITS)
        server = table[bucket]
        reason = f"dh: {packet.destination.address} hashes to bucket {bucket} of {len(table)}"
        return (server, reason) if server.available else None

    def table(self, servers: Sequence[RealServer]) -> Sequence[RealServer]:
        """The hash table, filled when it is first needed after a change."""
        if self._table is None:
            self._table = list(islice(cycle(servers), 1 << _BITS))
        return self._table

    def changed(self, servers: Sequence[RealServer]) -> None:  # noqa: ARG002
        self._table = None
