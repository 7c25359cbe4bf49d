"""Source hashing: a client always gets the same server, without the director remembering it.

A table of 256 buckets is filled with the servers in turn, each getting as many buckets as its weight (a
server of weight 0 gets one); a hash of the client's address picks the bucket. If its server is not
available, no other takes over, unless the flag sh-fallback is set. With the flag sh-port the client's
port counts as well. Source: Linux, ip_vs_sh.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, islice, repeat

from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._hash import fold

_BITS = 8


class Scheduler:
    """`fallback` and `port` are the flags sh-fallback and sh-port."""

    FLAGS = ("fallback", "port")

    def __init__(self, *, fallback: bool = False, port: bool = False) -> None:
        self.fallback, self.port = fallback, port
        self._table: list[RealServer] | None = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        table = self.table(servers)
        if not table:
            return None
        client = packet.source if self.port else packet.source.address
        first = fold(packet.source.address, _BITS, packet.source.port if self.port else 0)
        for bucket in self._buckets(first):
            if table[bucket].available:
                return table[bucket], f"sh: {client} hashes to bucket {bucket} of {len(table)}"
        return None

    def _buckets(self, first: int) -> Iterator[int]:
        """The buckets to try: as in Linux, a fallback starts at twice the first."""
        yield first
        if self.fallback:
            for step in range(1 << _BITS):
                yield (2 * first + step) % (1 << _BITS)

    def table(self, servers: Sequence[RealServer]) -> Sequence[RealServer]:
        """The hash table, filled when it is first needed after a change."""
        if self._table is None:
            turns = (turn for server in cycle(servers) for turn in repeat(server, max(1, server.weight)))
            self._table = list(islice(turns, 1 << _BITS))
        return self._table

    def changed(self, servers: Sequence[RealServer]) -> None:  # noqa: ARG002
        self._table = None
