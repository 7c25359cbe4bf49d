"""The connection table, which the core shares with the program in the kernel.

Each connection is an entry of the program's map. What the core looks up is made from it, what the
core changes is written back. A few are the core's own as well: those that depend on something that
only the core knows (a template, ftp's control connection). The program forwards their packets, but
only the core ends them. Expected connections, whose client has no port yet, are in no map.
What was read in a control connection is in a table of its own (sessions.py).

The program may change an entry between two looks of the core's. So the core's changes are made where the
entry is as it was seen (changes.py), and servers' counts follow what has really become of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from director.core.connections import Connection
from director.core.packet import ANY_PORT, Endpoint
from director.core.persistence import Template
from director.core.real_server import Method
from director.core.states import ACTIVE, State
from director.core.timers import Timers
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import (
    CORE_OWNED,
    FAST_REPLY,
    MAX_PACKETS,
    REMOVED,
    REPLY,
    UPCALL,
    Entry,
    KernelClock,
    Totals,
    address,
    flow_key,
    make_flags,
    parse_flow_key,
    port,
    state_of,
    with_state,
)
from director.engines.ebpf.libbpf import BpfError
from director.engines.ebpf.libbpf.maps import Cursor, Map
from director.engines.ebpf.program import EntryUpdates
from director.engines.ebpf.servers import Servers
from director.engines.ebpf.templates import SharedTemplates

ExpectedKey = tuple[int, Endpoint, Endpoint]  # protocol, client and VIP of a connection that is expected

_AT_ONCE = 256  # entries, when somebody looks for one that can go


class SharedTable:
    """A core's `Table`; `sweep` lets the program end what is over."""

    def __init__(
        self,
        entries: Map,
        totals: Totals,
        servers: Servers,
        templates: SharedTemplates,
        sessions: FtpSessions,
        updates: EntryUpdates,
        clock: KernelClock,
        sweep: Callable[[], None],
        bits: int,
    ) -> None:
        self.buckets = 1 << bits
        self._map = entries
        self._totals = totals
        self._servers = servers
        self._templates = templates
        self._sessions = sessions
        self._updates = updates
        self._clock = clock
        self._sweep = sweep
        self._own: dict[bytes, Connection] = {}
        self._expected: dict[ExpectedKey, Connection] = {}
        self._timers: Timers[Connection] = Timers()
        self._cursor = Cursor()  # of `some`

    @property
    def expectations(self) -> int:
        return len(self._expected)

    def __len__(self) -> int:
        return self._totals.connections + len(self._expected)

    def __iter__(self) -> Iterator[Connection]:
        """All that are not over."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Connection]]:
        yield list(self._expected.values())
        for batch in self._map.batches():
            yield list(self._known_in(batch))

    def _known_in(self, batch: list[tuple[bytes, bytes]]) -> Iterator[Connection]:
        for key, value in batch:
            entry = Entry.from_bytes(value)
            if not entry.flags & (REPLY | REMOVED):
                connection = self._current(key, entry)
                if connection is not None:
                    yield connection

    # ---- finding ----

    def find_in(self, protocol: int, client: Endpoint, vip: Endpoint) -> Connection | None:
        if client.port == ANY_PORT:
            return self._expected.get((protocol, client, vip))
        key = flow_key(protocol, client, vip)
        entry = self._find(key)
        if entry is None or entry.flags & REPLY:
            return None
        connection = self._current(key, entry)
        if connection is None:
            self._sweep()  # so that it is counted no more
        return connection

    def find_out(self, protocol: int, server: Endpoint, client: Endpoint) -> Connection | None:
        entry = self._find(flow_key(protocol, server, client))
        return self.find_in(protocol, client, entry.endpoint) if entry and entry.flags & REPLY else None

    def _find(self, key: bytes) -> Entry | None:
        value = self._map.get(key)
        entry = None if value is None else Entry.from_bytes(value)
        return None if entry is None or entry.flags & REMOVED else entry

    def by_client(self, protocol: int, client: Endpoint) -> list[Connection]:
        """All that a client's end has; to find them, every entry is looked at."""
        return [one for one in self if one.client == client and one.protocol == protocol]

    def _current(self, key: bytes, entry: Entry) -> Connection | None:
        """The connection of a request's entry; None if its time is over, and nobody but the program minds."""
        expires = self._clock.seconds(max(entry.expires, self._reply_expires(key, entry)))
        own = self._own.get(key)
        if own is None:
            if expires <= self._clock.now():
                return None
            own = self._to_connection(key, entry)
        own.state = own.stored_state = entry.state
        own.packets = max(own.packets, entry.packets)
        own.expires = expires
        return own

    def _to_connection(self, key: bytes, entry: Entry) -> Connection:
        protocol, client, vip = parse_flow_key(key)
        service, server = self._servers.at(entry.server)
        at = entry.endpoint
        connection = Connection(
            protocol, client, vip, server.address if server.address == at else at, server, service
        )
        connection.method = entry.method
        return connection

    def _reply_expires(self, key: bytes, entry: Entry) -> int:
        """A steady reply keeps the time of both."""
        if entry.method is not Method.NAT:
            return 0
        protocol, client, _ = parse_flow_key(key)
        reply = self._find(flow_key(protocol, entry.endpoint, client))
        return reply.expires if reply and reply.flags & FAST_REPLY else 0

    # ---- changing ----

    def add(self, connection: Connection, expires: float) -> None:
        connection.expires = expires
        if connection.client.port == ANY_PORT:
            self._expected[_expected_key(connection)] = connection
            self._timers.refresh(connection, expires)
            return
        self._put_in(connection)

    def _put_in(self, connection: Connection) -> None:
        """Where there is no room, its packets go on, but nobody remembers it: it is counted no more."""
        connection.stored_state = connection.state
        if self._write(connection):
            self._totals.add_connections(1)
            return
        self._own.pop(_key(connection), None)
        self._timers.cancel(connection)
        connection.server.count(active=connection.active, by=-1)
        if connection.control is not None:
            connection.control.children -= 1

    def _write(self, connection: Connection) -> bool:
        """Both entries or none; False where there is no room."""
        flags = 0
        if connection.control is not None:
            flags |= CORE_OWNED
        if connection.method is Method.NAT and connection.is_ftp_control:
            flags |= CORE_OWNED | UPCALL
        key = _key(connection)
        if flags & CORE_OWNED:
            self._own[key] = connection
            self._timers.refresh(connection, connection.expires)
        now = make_flags(connection.state, connection.method, flags)
        number, there = self._servers.number_of(connection.server), connection.server_endpoint
        expires, packets = self._clock.nanoseconds(connection.expires), min(connection.packets, MAX_PACKETS)
        entry = Entry(expires, now, number, packets, address(there.address), port(there.port))
        try:
            if connection.method is Method.NAT:
                vip = connection.vip
                back = Entry(0, now | REPLY, number, 0, address(vip.address), port(vip.port))
                self._map.put(_reply_key(connection), bytes(back))
        except BpfError:
            return False
        try:
            self._map.put(key, bytes(entry))
        except BpfError:
            if connection.method is Method.NAT:
                self._map.remove(_reply_key(connection))
            return False
        return True

    def remove(self, connection: Connection) -> None:
        """Its end is counted by whoever asks for it: in the state that it had at last."""
        self._timers.cancel(connection)
        if self._expected.pop(_expected_key(connection), None) is not None:
            return
        key = _key(connection)
        if self._own.pop(key, None) is not None and connection.is_ftp_control:
            self._sessions.delete(key)
        last = self._updates.remove(key)
        if last is None:  # the program was quicker, and has counted it
            connection.server.count(active=connection.active, by=1)
        else:
            connection.state = connection.stored_state = state_of(last)

    def refresh(self, connection: Connection, expires: float) -> None:
        """The state is written with the time: the core changes both in one go.

        The core has counted its move from the state that it has seen. If the program has moved the connection
        since, and has counted that, the core's move begins where the program's has ended; and what the core
        has not moved stays as the program has left it.
        """
        connection.expires = expires
        if connection.client.port == ANY_PORT:
            self._timers.refresh(connection, expires)
            return
        key = _key(connection)
        if key in self._own:
            self._timers.refresh(connection, expires)
        moved = connection.state is not connection.stored_state
        while (entry := self._find(key)) is not None:
            after = connection.state if moved else entry.state
            lasts = moved or entry.state is connection.stored_state
            when = self._clock.nanoseconds(expires) if lasts else None
            if self._updates.compare_and_swap(key, entry.flags, with_state(entry.flags, after), when):
                break
        else:  # it has ended
            self._correct_counts(connection, connection.state)
            connection.state = connection.stored_state
            return
        if moved:
            self._correct_counts(connection, entry.state)
        connection.state = connection.stored_state = after
        if entry.method is Method.NAT:
            self._clear_fast_reply(connection)

    @staticmethod
    def _correct_counts(connection: Connection, before: State) -> None:
        """The core has counted a move that began in the state that it has seen: it began in this one."""
        if (connection.stored_state in ACTIVE) is not (before in ACTIVE):
            connection.server.count_state_change(active=connection.stored_state in ACTIVE)

    def _clear_fast_reply(self, connection: Connection) -> None:
        """The program looks at the request's entry again before it relies on the reply's."""
        self._clear_flags(_reply_key(connection), FAST_REPLY, expires=0)

    def _clear_flags(self, key: bytes, flags: int, expires: int | None = None) -> None:
        while (entry := self._find(key)) is not None:
            if self._updates.compare_and_swap(key, entry.flags, entry.flags & ~flags, expires):
                return

    def store(self, connection: Connection) -> None:
        """What the core has read in a control connection, should there be another core; and its packets."""
        if connection.packets <= MAX_PACKETS:
            key = _key(connection)
            entry = self._find(key)
            if entry is not None and entry.packets < connection.packets:
                self._updates.compare_and_swap(key, entry.flags, entry.flags, None, connection.packets)
        if connection.ftp is not None:
            self._sessions.save(_key(connection), connection.ftp)
        self._servers.save_counters(connection.server)

    def fill_client_port(self, connection: Connection, client: Endpoint) -> None:
        del self._expected[_expected_key(connection)]
        connection.client = client
        self._put_in(connection)

    # ---- what the time brings ----

    def scan(self, number: int) -> Iterator[list[Connection]]:
        """A few after the other, until they were `number`; the next call goes on from there."""
        seen = 0
        for batch in self._map.batches(self._cursor, _AT_ONCE):
            found = list(self._known_in(batch))
            seen += len(found)
            yield found
            if seen >= number:
                return

    def expired(self, now: float) -> Iterator[Connection]:
        """Take out and yield those of the core's own whose time has come; the program ends the others."""
        for connection in self._timers.expired(now):
            entry = None if connection.client.port == ANY_PORT else self._find(_key(connection))
            if entry is not None and not self._has_expired(connection, entry, now):
                continue
            self.remove(connection)
            yield connection

    def _has_expired(self, connection: Connection, entry: Entry, now: float) -> bool:
        """Its packets may have come without the core's knowledge: then it lives on."""
        latest = self._clock.seconds(max(entry.expires, self._reply_expires(_key(connection), entry)))
        connection.state = connection.stored_state = entry.state
        if latest > now:
            self._timers.refresh(connection, latest)
        return latest <= now

    # ---- what the program has done ----

    def on_opened(self, key: bytes, when: float) -> None:
        """The program has opened one by a template: from now on it is one of the core's own."""
        entry = self._find(key)
        if entry is not None and key not in self._own:
            self._adopt_entry(key, entry, when)

    def on_replied(self, key: bytes) -> None:
        """Both ends of one of the core's own have spoken: its template, if it has one, is to last."""
        connection = self._own.get(key)
        if connection is not None and isinstance(connection.control, Template):
            connection.control.assured = True

    def recover_lost_events(self) -> None:
        """Take on what the program has opened by templates, and nobody has told of."""
        now = self._clock.now()
        for key, entry in self._unknown_core_owned():
            self._adopt_entry(key, entry, now)

    def _unknown_core_owned(self) -> Iterator[tuple[bytes, Entry]]:
        """Requests' entries that only the core ends, and of which it knows nothing."""
        for batch in self._map.batches():
            for key, value in batch:
                entry = Entry.from_bytes(value)
                if entry.flags & CORE_OWNED and not entry.flags & (REPLY | REMOVED) and key not in self._own:
                    yield key, entry

    def _adopt_entry(self, key: bytes, entry: Entry, when: float) -> Connection:
        connection = self._own[key] = self._to_connection(key, entry)
        connection.state = connection.stored_state = entry.state
        connection.packets = entry.packets
        if connection.service.policy.persistent:
            template = connection.control = self._templates.follow(connection, when)
            if template is not None:
                template.children += 1
                template.assured |= entry.state is State.ESTABLISHED
        self._timers.refresh(connection, self._clock.seconds(entry.expires))
        return connection

    def adopt(self) -> None:
        """Take on what an earlier core has left.

        Control connections of ftp come with what it has read in them; data connections are children of one
        that their client has with the same server; the others belong to templates.
        """
        now = self._clock.now()
        controls = {}
        for key, entry in self._unknown_core_owned():
            session = self._sessions.find(key) if entry.flags & UPCALL else None
            if session is not None:
                control = self._adopt_entry(key, entry, now)
                control.ftp = session
                controls[_ftp_peers(key, entry)] = control
        for key, entry in self._unknown_core_owned():
            known_by = controls.get(_ftp_peers(key, entry))
            if known_by is None and not self._servers.at(entry.server)[0].policy.persistent:
                self._release_to_program(key, entry)
                continue
            connection = self._adopt_entry(key, entry, now)
            if known_by is not None and connection.control is None:
                connection.control = known_by
                known_by.children += 1

    def _release_to_program(self, key: bytes, entry: Entry) -> None:
        protocol, client, _ = parse_flow_key(key)
        self._clear_flags(flow_key(protocol, entry.endpoint, client), UPCALL)
        self._clear_flags(key, UPCALL | CORE_OWNED)


def _ftp_peers(key: bytes, entry: Entry) -> tuple[str, str, int]:
    """Which client, by which address, and which server: a data connection's are its control connection's."""
    _, client, vip = parse_flow_key(key)
    return client.address, vip.address, entry.server


def _expected_key(connection: Connection) -> ExpectedKey:
    return connection.protocol, connection.client, connection.vip


def _key(connection: Connection) -> bytes:
    return flow_key(connection.protocol, connection.client, connection.vip)


def _reply_key(connection: Connection) -> bytes:
    return flow_key(connection.protocol, connection.server_endpoint, connection.client)
