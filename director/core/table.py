"""The connection table: a hash of 2^12 buckets, each a chain of connections.

The number of buckets bounds the length of the chains, not the number of connections. The
hash is over protocol and client, which a request and its reply have in common, so that one
table serves both directions. Source: paper, section 2; Linux, ip_vs_conn.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count

from director.core.connection import Connection
from director.core.errors import BadValue
from director.core.packet import Endpoint

DEFAULT_BITS = 12
FEWEST_BITS, MOST_BITS = 8, 20


class ConnectionTable:
    """Connections by their ends; `len` and iteration are over all that are not expired."""

    def __init__(self, bits: int = DEFAULT_BITS) -> None:
        if not FEWEST_BITS <= bits <= MOST_BITS:
            raise BadValue("conn-tab-bits", f"{FEWEST_BITS} to {MOST_BITS}", bits)
        self._buckets: list[list[Connection]] = [[] for _ in range(1 << bits)]
        self._mask = (1 << bits) - 1
        self._timers: list[tuple[float, int, Connection]] = []
        self._serial = count()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Connection]:
        return (connection for bucket in self._buckets for connection in bucket)

    def add(self, connection: Connection, expires: float) -> None:
        """Keep `connection`, which is not in the table yet, until `expires`."""
        self._bucket(connection.protocol, connection.client).append(connection)
        self._size += 1
        connection.scheduled = 0.0
        self.keep(connection, expires)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is in the table."""
        self._bucket(connection.protocol, connection.client).remove(connection)
        self._size -= 1
        connection.scheduled = -1.0  # whatever timer it has is stale now

    def keep(self, connection: Connection, expires: float) -> None:
        """Let it live until `expires`.

        A timer is set only when there is none that is early enough: one that fires too early
        finds the connection alive and is set again, so that a packet costs no heap operation.
        """
        connection.expires = expires
        if connection.scheduled <= 0.0 or expires < connection.scheduled:
            self._set_timer(connection)

    def name_client(self, connection: Connection, client: Endpoint) -> None:
        """A connection that was expected has come: move it to where its client's port belongs."""
        self._bucket(connection.protocol, connection.client).remove(connection)
        connection.client = client
        self._bucket(connection.protocol, client).append(connection)

    def request(self, protocol: int, client: Endpoint, vip: Endpoint) -> Connection | None:
        """The connection to which a packet from `client` to `vip` belongs."""
        for connection in self._bucket(protocol, client):
            if connection.client == client and connection.vip == vip and connection.protocol == protocol:
                return connection
        return None

    def reply(self, protocol: int, server: Endpoint, client: Endpoint) -> Connection | None:
        """The connection to which a packet from a real server's end to `client` belongs."""
        for connection in self._bucket(protocol, client):
            if (
                connection.client == client
                and connection.server_end == server
                and connection.protocol == protocol
            ):
                return connection
        return None

    def expired(self, now: float) -> Iterator[Connection]:
        """Take out and yield the connections whose time has come."""
        while self._timers and self._timers[0][0] <= now:
            when, _, connection = heapq.heappop(self._timers)
            if connection.scheduled != when:
                continue  # removed, or another timer is set
            if connection.expires > now:
                self._set_timer(connection)
            else:
                self.remove(connection)
                yield connection

    def _set_timer(self, connection: Connection) -> None:
        connection.scheduled = connection.expires
        heapq.heappush(self._timers, (connection.expires, next(self._serial), connection))

    def _bucket(self, protocol: int, client: Endpoint) -> list[Connection]:
        return self._buckets[hash((protocol, client)) & self._mask]
