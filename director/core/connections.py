"""Connections: one entry, the table that holds them, and how they open, change state and end.

The table is a hash of 2^12 buckets, each a chain of connections. The number of buckets bounds the length of
the chains, not the number of connections. The hash is over protocol and client, which a request and its
reply have in common, so that one table serves both directions. Source: paper, section 2; Linux, ip_vs_conn.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from director.core import ftp
from director.core.errors import BadValue
from director.core.events import Trace
from director.core.packet import ANY_PORT, PROTOCOL_NAMES, TCP, UDP, Endpoint, Packet
from director.core.persistence import Template, Templates
from director.core.real_server import Method, RealServer
from director.core.service import VirtualService
from director.core.states import ACTIVE, Direction, State, Timeouts, next_state
from director.core.timers import UNSET, Timers

if TYPE_CHECKING:
    from director.core.sync_protocol import SyncMark

DEFAULT_BITS = 12
MIN_BITS, MAX_BITS = 8, 20


class Connection:
    """A client's connection to a real server, or an expected one, whose client still has ANY_PORT.

    It ends at `expires` unless a packet comes first; `scheduled` belongs to the timers, `next_in_bucket` to
    the table. `control` is the ftp control connection or the template that it depends on, which does not
    expire while it has `children`. `ftp` is the helper's session of a control connection; `packets` counts
    packets from the client. `stored_state` is the state in the table, which a data plane may change as well.
    `sync` is the state of its synchronisation with another director, if any.
    """

    __slots__ = (
        "children",
        "client",
        "control",
        "expires",
        "ftp",
        "method",
        "next_in_bucket",
        "packets",
        "protocol",
        "scheduled",
        "server",
        "server_endpoint",
        "service",
        "state",
        "stored_state",
        "sync",
        "vip",
    )

    def __init__(
        self,
        protocol: int,
        client: Endpoint,
        vip: Endpoint,
        server_endpoint: Endpoint,
        server: RealServer,
        service: VirtualService,
        control: Connection | Template | None = None,
    ) -> None:
        self.protocol = protocol
        self.client = client
        self.vip = vip
        self.server_endpoint = server_endpoint
        self.server = server
        self.service = service
        self.control = control
        self.method: Method = server.method
        self.state = self.stored_state = State.UDP if protocol == UDP else State.NONE
        self.expires = 0.0
        self.scheduled = UNSET
        self.children = 0
        self.packets = 0
        self.next_in_bucket: Connection | None = None
        self.ftp: ftp.Session | None = None
        self.sync: SyncMark | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Connection:
        """A copy that is in no table."""
        twin = memo[id(self)] = Connection.__new__(Connection)
        for name in self.__slots__:
            value = None if name == "next_in_bucket" else deepcopy(getattr(self, name), memo)
            setattr(twin, name, value)
        return twin

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def is_ftp_control(self) -> bool:
        """Whether it is an ftp control connection, by its port."""
        return self.protocol == TCP and self.vip.port == ftp.CONTROL_PORT

    def count_in(self, length: int) -> None:
        """Count a packet of `length` bytes from the client, for the server and the service."""
        self.server.stats.count_in(length)
        self.service.stats.count_in(length)

    def count_out(self, length: int) -> None:
        """The same for a packet from the real server."""
        self.server.stats.count_out(length)
        self.service.stats.count_out(length)

    def as_dict(self, now: float) -> dict[str, Any]:
        """JSON-ready; `expires` in seconds from `now`, `origin` only if another director sent it."""
        synced = self.sync is not None and self.sync.received
        return {
            "protocol": PROTOCOL_NAMES[self.protocol],
            "expires": max(0.0, round(self.expires - now, 3)),
            "state": self.state.value,
            "client": str(self.client),
            "vip": str(self.vip),
            "server": str(self.server_endpoint),
            **({"origin": "SYNC"} if synced else {}),
        }

    def __str__(self) -> str:
        return f"{self.client} > {self.vip} > {self.server_endpoint}"


class Table(Protocol):
    """What the core needs of a table, wherever it is kept; see ConnectionTable."""

    buckets: int

    @property
    def expectations(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Connection]: ...

    def batches(self) -> Iterator[list[Connection]]: ...

    def add(self, connection: Connection, expires: float) -> None: ...

    def remove(self, connection: Connection) -> None: ...

    def refresh(self, connection: Connection, expires: float) -> None: ...

    def fill_client_port(self, connection: Connection, client: Endpoint) -> None: ...

    def store(self, connection: Connection) -> None: ...

    def find_in(self, protocol: int, client: Endpoint, vip: Endpoint) -> Connection | None: ...

    def find_out(self, protocol: int, server: Endpoint, client: Endpoint) -> Connection | None: ...

    def by_client(self, protocol: int, client: Endpoint) -> list[Connection]: ...

    def scan(self, number: int) -> Iterator[list[Connection]]: ...

    def expired(self, now: float) -> Iterator[Connection]: ...


class ConnectionTable:
    """Connections by their endpoints; `len` and iteration include all that have not expired."""

    def __init__(self, bits: int = DEFAULT_BITS) -> None:
        if not MIN_BITS <= bits <= MAX_BITS:
            raise BadValue("conn-tab-bits", f"{MIN_BITS} to {MAX_BITS}", bits)
        self.buckets = 1 << bits
        self._first: list[Connection | None] = [None] * self.buckets
        self._timers: Timers[Connection] = Timers()
        self._size = 0
        self._cursor = 0  # the bucket where the next `scan` starts
        self._expectations = 0

    @property
    def expectations(self) -> int:
        """The number of expected connections, whose client's port is not known yet."""
        return self._expectations

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Connection]:
        for bucket, first in enumerate(self._first):
            if first is not None:  # most buckets are empty
                yield from self._chain(bucket)

    def batches(self) -> Iterator[list[Connection]]:
        """All connections, a bucket at a time: in between, the table may change."""
        for bucket in range(self.buckets):
            if self._first[bucket] is not None:
                yield list(self._chain(bucket))

    def add(self, connection: Connection, expires: float) -> None:
        """Insert `connection`, which is not in the table yet, until `expires`."""
        self._link(connection)
        self._size += 1
        self._timers.refresh(connection, expires)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that is in the table."""
        self._unlink(connection)
        self._size -= 1
        self._timers.cancel(connection)

    def refresh(self, connection: Connection, expires: float) -> None:
        """Let it live until `expires`."""
        self._timers.refresh(connection, expires)

    def fill_client_port(self, connection: Connection, client: Endpoint) -> None:
        """Give an expected connection its client's port, and move it to the bucket of that endpoint."""
        self._unlink(connection)
        connection.client = client
        self._link(connection)

    def store(self, connection: Connection) -> None:
        """Write back what a packet has changed in it: here, nothing to do."""

    def find_in(self, protocol: int, client: Endpoint, vip: Endpoint) -> Connection | None:
        """The connection of a packet from `client` to `vip`."""
        at = self._first[hash((protocol, client)) % self.buckets]
        while at is not None:
            if at.client == client and at.vip == vip and at.protocol == protocol:
                return at
            at = at.next_in_bucket
        return None

    def find_out(self, protocol: int, server: Endpoint, client: Endpoint) -> Connection | None:
        """The connection of a packet from a real server's endpoint to `client`."""
        at = self._first[hash((protocol, client)) % self.buckets]
        while at is not None:
            if at.client == client and at.server_endpoint == server and at.protocol == protocol:
                return at
            at = at.next_in_bucket
        return None

    def by_client(self, protocol: int, client: Endpoint) -> list[Connection]:
        """All connections of a client's endpoint."""
        chain = self._chain(self._bucket(protocol, client))
        return [found for found in chain if found.client == client and found.protocol == protocol]

    def scan(self, number: int) -> Iterator[list[Connection]]:
        """Bucket after bucket, until they held `number` connections; the next call continues from there."""
        scanned = 0
        for _ in range(self.buckets):
            if scanned >= number:
                return
            chain = list(self._chain(self._cursor))
            self._cursor = (self._cursor + 1) % self.buckets
            scanned += len(chain)
            yield chain

    def expired(self, now: float) -> Iterator[Connection]:
        """Remove and yield the connections that have expired."""
        for connection in self._timers.expired(now):
            self.remove(connection)
            yield connection

    def _bucket(self, protocol: int, client: Endpoint) -> int:
        return hash((protocol, client)) % self.buckets

    def _chain(self, bucket: int) -> Iterator[Connection]:
        """The connections of a bucket, the newest first; the one just yielded may be removed."""
        at = self._first[bucket]
        while at is not None:
            following = at.next_in_bucket
            yield at
            at = following

    def _link(self, connection: Connection) -> None:
        bucket = self._bucket(connection.protocol, connection.client)
        connection.next_in_bucket = self._first[bucket]
        self._first[bucket] = connection
        self._expectations += connection.client.port == ANY_PORT

    def _unlink(self, connection: Connection) -> None:
        """Raises ValueError if it is not in the table."""
        bucket = self._bucket(connection.protocol, connection.client)
        before: Connection | None = None
        for at in self._chain(bucket):
            if at is connection:
                break
            before = at
        else:
            raise ValueError(f"{connection} is not in the table")
        if before is None:
            self._first[bucket] = connection.next_in_bucket
        else:
            before.next_in_bucket = connection.next_in_bucket
        connection.next_in_bucket = None
        self._expectations -= connection.client.port == ANY_PORT


class Tables(NamedTuple):
    """What a director remembers of its clients: their connections, and which servers new ones go to."""

    connections: Table
    templates: Templates


class Lifecycle:
    """Opens, moves and ends connections; keeps tables, servers' counters and the trace in step.

    `secure` selects the state table that is used under overload (secure_tcp).
    """

    def __init__(self, tables: Tables, timeouts: Timeouts, trace: Trace) -> None:
        self._connections, self._templates = tables
        self._trace = trace
        self.secure = False
        self.use_timeouts(timeouts)

    def use_timeouts(self, timeouts: Timeouts) -> None:
        """Connections keep their current timeout until their next packet."""
        self._timeouts = timeouts.by_state()

    def open(self, connection: Connection, now: float, why: str, timeout: float | None = None) -> None:
        """Insert a new connection, for `timeout` seconds or the timeout of its state."""
        connection.server.count(active=connection.active, by=1)
        if connection.control is not None:
            connection.control.children += 1
        seconds = self._timeouts[connection.state] if timeout is None else timeout
        self._connections.add(connection, now + seconds)
        self._trace.emit("new", now, lambda: {**connection.as_dict(now), "why": why})

    def advance(self, connection: Connection, packet: Packet, direction: Direction, now: float) -> None:
        """Move the connection to the state that follows from the packet."""
        after = next_state(connection.protocol, connection.state, direction, packet.flags, secure=self.secure)
        self.set_state(connection, after, now)
        if connection.protocol == UDP and direction is Direction.OUTPUT:
            self._assure(connection)

    def set_state(
        self, connection: Connection, after: State, now: float, timeout: float | None = None
    ) -> None:
        """Count the change of state, and restart the timer."""
        before = connection.state
        if after is not before:
            connection.state = after
            if (after in ACTIVE) is not (before in ACTIVE):
                connection.server.count_state_change(active=connection.active)
            if after is State.ESTABLISHED:
                self._assure(connection)
            self._trace.emit("state", now, lambda: {**connection.as_dict(now), "before": before.value})
        self._connections.refresh(connection, now + (self._timeouts[after] if timeout is None else timeout))

    @staticmethod
    def _assure(connection: Connection) -> None:
        """Both ends have sent packets: the template it was opened by, if any, lasts."""
        if isinstance(connection.control, Template):
            connection.control.assured = True

    def idle(self, connection: Connection, now: float) -> float:
        """Seconds since its last packet."""
        return self._timeouts[connection.state] - (connection.expires - now)

    def end(self, connection: Connection, now: float) -> None:
        """End a connection before it expires."""
        self._connections.remove(connection)
        self.count_end(connection, now)

    def evict(self, connection: Connection, now: float) -> None:
        """End a connection that was never established, and a template that only it has used."""
        self._connections.remove(connection)
        self.count_end(connection, now, "evicted")
        template = connection.control
        if isinstance(template, Template) and not template.children and not template.assured:
            self._templates.remove(template)

    def expire(self, now: float) -> int:
        """End the connections and templates that have expired; returns the number of connections."""
        ended = 0
        for connection in self._connections.expired(now):
            self.count_end(connection, now)
            ended += 1
        self._templates.expire(now)
        return ended

    def count_end(self, connection: Connection, now: float, kind: str = "expired") -> None:
        """Count and trace the end of a connection that was removed from the table."""
        connection.server.count(active=connection.active, by=-1)
        if connection.control is not None:
            connection.control.children -= 1
        self._trace.emit(kind, now, lambda: connection.as_dict(now))
