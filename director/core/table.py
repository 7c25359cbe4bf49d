"""The connection table: a hash of 2^12 buckets, each a chain of connections.

The number of buckets bounds the length of the chains, not the number of connections. The
hash is over protocol and client, which a request and its reply have in common, so that one
table serves both directions. Source: paper, section 2; Linux, ip_vs_conn.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from director.core.connection import Connection
from director.core.errors import BadValue
from director.core.packet import ANY_PORT, Endpoint
from director.core.timers import Timers

DEFAULT_BITS = 12
FEWEST_BITS, MOST_BITS = 8, 20


class Table(Protocol):
    """What the core asks of a table, wherever it is kept; ConnectionTable says what is meant."""

    buckets: int

    @property
    def expected(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Connection]: ...

    def batches(self) -> Iterator[list[Connection]]: ...

    def add(self, connection: Connection, expires: float) -> None: ...

    def remove(self, connection: Connection) -> None: ...

    def keep(self, connection: Connection, expires: float) -> None: ...

    def name_client(self, connection: Connection, client: Endpoint) -> None: ...

    def request(self, protocol: int, client: Endpoint, vip: Endpoint) -> Connection | None: ...

    def reply(self, protocol: int, server: Endpoint, client: Endpoint) -> Connection | None: ...

    def of(self, protocol: int, client: Endpoint) -> list[Connection]: ...

    def some(self, number: int) -> Iterator[list[Connection]]: ...

    def expired(self, now: float) -> Iterator[Connection]: ...


class ConnectionTable:
    """Connections by their ends; `len` and iteration are over all that are not expired."""

    def __init__(self, bits: int = DEFAULT_BITS) -> None:
        if not FEWEST_BITS <= bits <= MOST_BITS:
            raise BadValue("conn-tab-bits", f"{FEWEST_BITS} to {MOST_BITS}", bits)
        self.buckets = 1 << bits
        self._first: list[Connection | None] = [None] * self.buckets
        self._timers: Timers[Connection] = Timers()
        self._size = 0
        self._hand = 0  # the bucket at which `some` goes on
        self._expected = 0

    @property
    def expected(self) -> int:
        """How many have a client whose port is not known yet."""
        return self._expected

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Connection]:
        for place, first in enumerate(self._first):
            if first is not None:  # most buckets are empty
                yield from self._chain(place)

    def batches(self) -> Iterator[list[Connection]]:
        """All, some at a time: in between, the table may change."""
        for place in range(self.buckets):
            if self._first[place] is not None:
                yield list(self._chain(place))

    def add(self, connection: Connection, expires: float) -> None:
        """Keep `connection`, which is not in the table yet, until `expires`."""
        self._link(connection)
        self._size += 1
        self._timers.keep(connection, expires)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is in the table."""
        self._unlink(connection)
        self._size -= 1
        self._timers.forget(connection)

    def keep(self, connection: Connection, expires: float) -> None:
        """Let it live until `expires`."""
        self._timers.keep(connection, expires)

    def name_client(self, connection: Connection, client: Endpoint) -> None:
        """A connection that was expected has come: move it to where its client's port belongs."""
        self._unlink(connection)
        connection.client = client
        self._link(connection)

    def request(self, protocol: int, client: Endpoint, vip: Endpoint) -> Connection | None:
        """The connection to which a packet from `client` to `vip` belongs."""
        at = self._first[hash((protocol, client)) % self.buckets]
        while at is not None:
            if at.client == client and at.vip == vip and at.protocol == protocol:
                return at
            at = at.chained
        return None

    def reply(self, protocol: int, server: Endpoint, client: Endpoint) -> Connection | None:
        """The connection to which a packet from a real server's end to `client` belongs."""
        at = self._first[hash((protocol, client)) % self.buckets]
        while at is not None:
            if at.client == client and at.server_end == server and at.protocol == protocol:
                return at
            at = at.chained
        return None

    def of(self, protocol: int, client: Endpoint) -> list[Connection]:
        """All that a client's end has."""
        chain = self._chain(self._place(protocol, client))
        return [one for one in chain if one.client == client and one.protocol == protocol]

    def some(self, number: int) -> Iterator[list[Connection]]:
        """Bucket after bucket, until they held `number` connections; the next call goes on from there."""
        seen = 0
        for _ in range(self.buckets):
            if seen >= number:
                return
            found = list(self._chain(self._hand))
            self._hand = (self._hand + 1) % self.buckets
            seen += len(found)
            yield found

    def expired(self, now: float) -> Iterator[Connection]:
        """Take out and yield the connections whose time has come."""
        for connection in self._timers.expired(now):
            self.remove(connection)
            yield connection

    def _place(self, protocol: int, client: Endpoint) -> int:
        return hash((protocol, client)) % self.buckets

    def _chain(self, place: int) -> Iterator[Connection]:
        """The connections of a bucket, the newest first; the one that was yielded may be removed."""
        at = self._first[place]
        while at is not None:
            following = at.chained
            yield at
            at = following

    def _link(self, connection: Connection) -> None:
        place = self._place(connection.protocol, connection.client)
        connection.chained = self._first[place]
        self._first[place] = connection
        self._expected += connection.client.port == ANY_PORT

    def _unlink(self, connection: Connection) -> None:
        """Raises ValueError if it isn't there."""
        place = self._place(connection.protocol, connection.client)
        before: Connection | None = None
        for at in self._chain(place):
            if at is connection:
                break
            before = at
        else:
            raise ValueError(f"{connection} is not in the table")
        if before is None:
            self._first[place] = connection.chained
        else:
            before.chained = connection.chained
        connection.chained = None
        self._expected -= connection.client.port == ANY_PORT
