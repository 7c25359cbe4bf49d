"""The connection table: a hash of 2^12 buckets, each a chain of connections.

The number of buckets bounds the length of the chains, not the number of connections. The
hash is over protocol and client, which a request and its reply have in common, so that one
table serves both directions. Source: paper, section 2; Linux, ip_vs_conn.
"""

from __future__ import annotations

from collections.abc import Iterator

from director.core.connection import Connection
from director.core.errors import BadValue
from director.core.packet import Endpoint
from director.core.timers import Timers

DEFAULT_BITS = 12
FEWEST_BITS, MOST_BITS = 8, 20


class ConnectionTable:
    """Connections by their ends; `len` and iteration are over all that are not expired."""

    def __init__(self, bits: int = DEFAULT_BITS) -> None:
        if not FEWEST_BITS <= bits <= MOST_BITS:
            raise BadValue("conn-tab-bits", f"{FEWEST_BITS} to {MOST_BITS}", bits)
        self._buckets: list[list[Connection]] = [[] for _ in range(1 << bits)]
        self._mask = (1 << bits) - 1
        self._timers: Timers[Connection] = Timers()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Connection]:
        return (connection for bucket in self._buckets for connection in bucket)

    def add(self, connection: Connection, expires: float) -> None:
        """Keep `connection`, which is not in the table yet, until `expires`."""
        self._bucket(connection.protocol, connection.client).append(connection)
        self._size += 1
        self._timers.keep(connection, expires)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is in the table."""
        self._bucket(connection.protocol, connection.client).remove(connection)
        self._size -= 1
        self._timers.forget(connection)

    def keep(self, connection: Connection, expires: float) -> None:
        """Let it live until `expires`."""
        self._timers.keep(connection, expires)

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
        for connection in self._timers.expired(now):
            self.remove(connection)
            yield connection

    def _bucket(self, protocol: int, client: Endpoint) -> list[Connection]:
        return self._buckets[hash((protocol, client)) & self._mask]
