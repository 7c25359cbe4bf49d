"""Maglev hashing: as sh, but a change of the servers moves as few clients as possible.

Every server has its own order of preference for the buckets of the table. The servers take turns until the
table is full: each takes the free buckets that it prefers, as many per turn as its weight. When a server is
removed, the others share its buckets and keep nearly all of their own. With the flag
mh-port the client's port counts as well; with mh-fallback other buckets are tried until a server is
available, where otherwise no other takes over.
Source: Eisenbud and others, "Maglev", NSDI 2016; Linux, ip_vs_mh.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from director.core.family import IPV4, IPV6, Family, family_of, ip_to_int
from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.schedulers import Pick
from director.core.schedulers._hash import siphash, word

BUCKETS = 4093  # Linux's default: a prime, so that a walk with any step visits every bucket
_OFFSET_KEY, _SKIP_KEY = 2654435761, 2654446892  # keys of Linux's two hashes
_TURN_BITS = 6  # fewer than 64 buckets per turn; larger weights are shifted down together


class Scheduler:
    """`fallback` and `port` are the flags mh-fallback and mh-port."""

    FLAGS = ("fallback", "port")

    def __init__(self, *, fallback: bool = False, port: bool = False) -> None:
        self.fallback, self.port = fallback, port
        self._table: list[RealServer] | None = []

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:  # noqa: ARG002
        table = self.table(servers, packet.family)
        if not table:
            return None
        client = packet.source if self.port else packet.source.address
        key = word(packet.source.address) + (packet.source.port if self.port else 0)
        for bucket in self._buckets(key):
            if table[bucket].available:
                return table[bucket], f"mh: {client} hashes to bucket {bucket} of {BUCKETS}"
        return None

    def table(self, servers: Sequence[RealServer], family: Family | None = None) -> Sequence[RealServer]:
        """The hash table, filled when it is first needed after a change.

        `family` is the service's, which matters where a tunnel's real servers have another.
        """
        if self._table is None:
            self._table = _fill(servers, family)
        return self._table

    def _buckets(self, key: int) -> Iterator[int]:
        """The buckets to try: as in Linux, a fallback hashes again, adding one more each time."""
        first = siphash(key, _OFFSET_KEY) % BUCKETS
        yield first
        if self.fallback:
            for step in range(BUCKETS):
                yield siphash(key + (first + step) % BUCKETS, _OFFSET_KEY) % BUCKETS

    def changed(self, servers: Sequence[RealServer]) -> None:  # noqa: ARG002
        self._table = None


def _fill(servers: Sequence[RealServer], family: Family | None) -> list[RealServer]:
    turns = _turns(servers)
    if not turns:
        return []
    table: list[RealServer | None] = [None] * BUCKETS
    preferences = {server: _Preferences(server, family) for server in turns}
    filled = 0
    while filled < BUCKETS:
        for server, count in turns.items():
            for _ in range(min(count, BUCKETS - filled)):
                table[preferences[server].next_free(table)] = server
                filled += 1
    return [server for server in table if server is not None]


def _turns(servers: Sequence[RealServer]) -> dict[RealServer, int]:
    """How many buckets each server takes per turn; a quiesced one keeps those of its last weight."""
    weights = {server: server.last_weight for server in servers if server.last_weight}
    if not weights:
        return {}
    divisor = math.gcd(*weights.values())
    shift = max(0, (max(weights.values()) // divisor).bit_length() - _TURN_BITS)
    return {server: max(1, weight // divisor >> shift) for server, weight in weights.items()}


class _Preferences:
    """The buckets in the order in which one server prefers them.

    Of an IPv6 address behind an IPv4 service, the kernel uses the first word only.
    """

    def __init__(self, server: RealServer, family: Family | None) -> None:
        address, port = server.address
        only_first = family is IPV4 and family_of(address) is IPV6
        key = port + (ip_to_int(address) >> 96 if only_first else word(address))
        self._bucket = siphash(key, _OFFSET_KEY) % BUCKETS
        self._step = siphash(key, _SKIP_KEY) % (BUCKETS - 1) + 1

    def next_free(self, table: Sequence[RealServer | None]) -> int:
        while table[self._bucket] is not None:
            self._bucket = (self._bucket + self._step) % BUCKETS
        return self._bucket
