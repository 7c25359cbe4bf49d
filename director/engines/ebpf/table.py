"""The connection table that the core shares with the program in the kernel.

Every connection is an entry of its family's map: the core makes a Connection from an entry when it looks one
up, and writes its changes back. The core owns some connections, because they depend on something that only it
knows, a template or an ftp control connection: the program forwards their packets, but only the core ends
them. Expected connections, whose client has no port yet, are in no map; the sessions of ftp control
connections have a map of their own (checkpoint.py).

The program may change an entry after the core has read it. So the core makes its changes by compare-and-swap
(program.py), and then corrects the counters of real servers by what the entry has become.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy

from director.core.connections import Connection
from director.core.family import family_of
from director.core.packet import ANY_PORT, Endpoint
from director.core.persistence import Template
from director.core.real_server import Method
from director.core.states import ACTIVE, State
from director.core.sync_protocol import SyncMark
from director.core.timers import Timers
from director.engines.ebpf.by_family import FamilyMaps
from director.engines.ebpf.checkpoint import FtpSessions
from director.engines.ebpf.layouts import (
    CORE_OWNED,
    FAST_REPLY,
    FEW_PACKETS,
    MARKED,
    MAX_PACKETS,
    REMOVED,
    REPLY,
    SYNCED,
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
from director.engines.ebpf.libbpf.maps import Cursor
from director.engines.ebpf.program import EntryUpdates
from director.engines.ebpf.servers import Servers
from director.engines.ebpf.templates import SharedTemplates

ExpectedKey = tuple[int, Endpoint, Endpoint]  # protocol, client and VIP of an expected connection

_SCAN_BATCH = 256  # entries


class SharedTable:
    """Implements the core's `Table`; `sweep` ends expired connections."""

    def __init__(
        self,
        entries: FamilyMaps,
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
        self._owned: dict[bytes, Connection] = {}
        self._expected: dict[ExpectedKey, Connection] = {}
        self._timers: Timers[Connection] = Timers()
        self._scan_cursor = Cursor()

    @property
    def expectations(self) -> int:
        return len(self._expected)

    def __len__(self) -> int:
        return self._totals.connections + len(self._expected)

    def __iter__(self) -> Iterator[Connection]:
        """All that have not expired."""
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[Connection]]:
        yield list(self._expected.values())
        for batch in self._map.batches():
            yield list(self._connections_in(batch))

    def _connections_in(self, batch: list[tuple[bytes, bytes]]) -> Iterator[Connection]:
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
            self._sweep()  # so that it no longer counts
        return connection

    def find_out(self, protocol: int, server: Endpoint, client: Endpoint) -> Connection | None:
        if family_of(server.address) is not family_of(client.address):
            return None
        entry = self._find(flow_key(protocol, server, client))
        return self.find_in(protocol, client, entry.endpoint) if entry and entry.flags & REPLY else None

    def _find(self, key: bytes) -> Entry | None:
        value = self._map.get(key)
        entry = None if value is None else Entry.from_bytes(value)
        return None if entry is None or entry.flags & REMOVED else entry

    def by_client(self, protocol: int, client: Endpoint) -> list[Connection]:
        """All connections of a client's endpoint; this reads every entry."""
        return [found for found in self if found.client == client and found.protocol == protocol]

    def _current(self, key: bytes, entry: Entry) -> Connection | None:
        """The connection of a request's entry; None if it has expired and the program will end it."""
        expires = self._clock.seconds(max(entry.expires, self._reply_expires(key, entry)))
        connection = self._owned.get(key)
        if connection is None:
            if expires <= self._clock.now():
                return None
            connection = self._to_connection(key, entry)
        connection.state = connection.stored_state = entry.state
        connection.packets = max(connection.packets, entry.packets)
        connection.expires = expires
        return connection

    def _to_connection(self, key: bytes, entry: Entry) -> Connection:
        protocol, client, vip = parse_flow_key(key)
        service, server = self._servers.at(entry.server)
        server_endpoint = entry.endpoint
        if server_endpoint == server.address:
            server_endpoint = server.address  # thousands share one object
        elif _is_mixed(vip, server.address):
            server_endpoint = Endpoint(server.address.address, server_endpoint.port)
        connection = Connection(protocol, client, vip, server_endpoint, server, service)
        connection.method = entry.method
        if entry.flags & SYNCED:
            connection.sync = SyncMark(received=True)
        return connection

    def _reply_expires(self, key: bytes, entry: Entry) -> int:
        """A fast reply's entry holds the timeout of both directions."""
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
        self._insert(connection)

    def _insert(self, connection: Connection) -> None:
        """Insert it; if it can't be written, its packet is forwarded, but it is neither kept nor counted."""
        connection.stored_state = connection.state
        if self._write(connection):
            self._totals.add_connections(1)
            return
        self._owned.pop(_key(connection), None)
        self._timers.cancel(connection)
        connection.server.count(active=connection.active, by=-1)
        if connection.control is not None:
            connection.control.children -= 1

    def _write(self, connection: Connection) -> bool:
        """Write both entries or none; False if the map is full, or has the connection already.

        The program may have opened it since the core looked: its entry remains.
        """
        flags = 0
        if connection.control is not None:
            flags |= CORE_OWNED
        if connection.method is Method.NAT and connection.is_ftp_control:
            flags |= CORE_OWNED | UPCALL
        if connection.sync is not None and connection.sync.received:
            flags |= SYNCED
        if connection.service.key.mark:
            flags |= MARKED
        end = connection.server_endpoint
        end_address = address(end.address)
        if _is_mixed(connection.vip, end):
            flags, end_address = flags | UPCALL, bytes(len(address(connection.vip.address)))
        key = _key(connection)
        if flags & CORE_OWNED:
            self._owned[key] = connection
            self._timers.refresh(connection, connection.expires)
        flags = make_flags(connection.state, connection.method, flags)
        number = self._servers.number_of(connection.server)
        expires, packets = self._clock.nanoseconds(connection.expires), min(connection.packets, MAX_PACKETS)
        entry = Entry(expires, flags, number, packets, end_address, port(end.port))
        try:
            if not self._map.add(key, bytes(entry)):
                return False
        except BpfError:
            return False
        try:
            if connection.method is Method.NAT:
                vip = connection.vip
                reply = Entry(0, flags | REPLY, number, 0, address(vip.address), port(vip.port))
                self._map.put(_reply_key(connection), bytes(reply))
        except BpfError:
            self._map.remove(key)
            return False
        return True

    def remove(self, connection: Connection) -> None:
        """Remove a connection, which gets its final state: the caller counts its end in that."""
        self._timers.cancel(connection)
        if self._expected.pop(_expected_key(connection), None) is not None:
            return
        key = _key(connection)
        if self._owned.pop(key, None) is not None and connection.is_ftp_control:
            self._sessions.delete(key)
        last = self._updates.remove(key)
        if last is None:  # the program has removed and counted it: offset the caller's count
            connection.server.count(active=connection.active, by=1)
        else:
            connection.state = connection.stored_state = state_of(last)

    def refresh(self, connection: Connection, expires: float) -> None:
        """Write state and timeout together.

        The core has counted a change from the state that it has read. If the program has changed the state
        since, and counted that, the core's change starts from the new state; a state that the core has not
        changed remains the program's.
        """
        connection.expires = expires
        if connection.client.port == ANY_PORT:
            self._timers.refresh(connection, expires)
            return
        key = _key(connection)
        if key in self._owned:
            self._timers.refresh(connection, expires)
        changed = connection.state is not connection.stored_state
        while (entry := self._find(key)) is not None:
            after = connection.state if changed else entry.state
            ours = changed or entry.state is connection.stored_state
            timeout = self._clock.nanoseconds(expires) if ours else None
            if self._updates.compare_and_swap(key, entry.flags, with_state(entry.flags, after), timeout):
                break
        else:  # it has ended
            self._correct_counts(connection, connection.state)
            connection.state = connection.stored_state
            return
        if changed:
            self._correct_counts(connection, entry.state)
        connection.state = connection.stored_state = after
        if entry.method is Method.NAT:
            self._clear_fast_reply(connection)

    @staticmethod
    def _correct_counts(connection: Connection, before: State) -> None:
        """Correct the count of a change, which was from `before` and not from the stored state."""
        if (connection.stored_state in ACTIVE) is not (before in ACTIVE):
            connection.server.count_state_change(active=connection.stored_state in ACTIVE)

    def _clear_fast_reply(self, connection: Connection) -> None:
        """Make the program look up the request's entry at the next reply."""
        self._clear_flags(_reply_key(connection), FAST_REPLY, expires=0)

    def _clear_flags(self, key: bytes, flags: int, expires: int | None = None) -> None:
        while (entry := self._find(key)) is not None:
            if self._updates.compare_and_swap(key, entry.flags, entry.flags & ~flags, expires):
                return

    def store(self, connection: Connection) -> None:
        """Save what only the core knows, for the next director: packets, counters, the ftp session."""
        if connection.packets <= FEW_PACKETS:
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
        self._insert(connection)

    # ---- scanning and expiry ----

    def scan(self, number: int) -> Iterator[list[Connection]]:
        """Batches of at least `number` connections in all; the next call continues after them."""
        count = 0
        for batch in self._map.batches(self._scan_cursor, _SCAN_BATCH):
            found = list(self._connections_in(batch))
            count += len(found)
            yield found
            if count >= number:
                return

    def expired(self, now: float) -> Iterator[Connection]:
        """Remove and yield expired connections that the core owns; the program ends the others."""
        for connection in self._timers.expired(now):
            entry = None if connection.client.port == ANY_PORT else self._find(_key(connection))
            if entry is not None and not self._has_expired(connection, entry, now):
                continue
            self.remove(connection)
            yield connection

    def _has_expired(self, connection: Connection, entry: Entry, now: float) -> bool:
        """Whether it has; not if the program has refreshed the entry."""
        latest = self._clock.seconds(max(entry.expires, self._reply_expires(_key(connection), entry)))
        connection.state = connection.stored_state = entry.state
        if latest > now:
            self._timers.refresh(connection, latest)
        return latest <= now

    # ---- events of the program ----

    def synced_connection(self, key: bytes, entry: Entry) -> Connection:
        """The connection of an event in its state at that time, to send to another director."""
        connection = self._owned.get(key) or self._to_connection(key, entry)
        if key not in self._owned:
            connection.state, connection.packets = entry.state, entry.packets
            return connection
        snapshot = copy(connection)
        snapshot.state = entry.state
        return snapshot

    def on_opened(self, key: bytes, when: float) -> None:
        """The program has opened a connection by a template: the core owns it from now on."""
        entry = self._find(key)
        if entry is not None and key not in self._owned:
            self._adopt_opened(key, entry, when)

    def on_replied(self, key: bytes) -> None:
        """A connection that the core owns was answered: its template, if any, is assured."""
        connection = self._owned.get(key)
        if connection is not None and isinstance(connection.control, Template):
            connection.control.assured = True

    def recover_lost_events(self) -> None:
        """Adopt connections that the program has opened by templates, but whose events were lost."""
        now = self._clock.now()
        for key, entry in self._unknown_entries():
            self._adopt_opened(key, entry, now)

    def _adopt_opened(self, key: bytes, entry: Entry, when: float) -> None:
        """Adopt it; if its real server's number was freed meanwhile, the program ends it."""
        if self._servers.has(entry.server):
            self._adopt_entry(key, entry, when)
        else:
            self._clear_flags(key, CORE_OWNED)

    def _unknown_entries(self) -> Iterator[tuple[bytes, Entry]]:
        """Requests' entries of connections that the core owns, but does not know."""
        for batch in self._map.batches():
            for key, value in batch:
                entry = Entry.from_bytes(value)
                owned = entry.flags & CORE_OWNED and not entry.flags & (REPLY | REMOVED)
                if owned and key not in self._owned:
                    yield key, entry

    def _adopt_entry(self, key: bytes, entry: Entry, when: float) -> Connection:
        connection = self._owned[key] = self._to_connection(key, entry)
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
        """Adopt the connections that an earlier core has owned.

        ftp control connections get their sessions; data connections become children of the control
        connection between the same client and server; the others belong to templates.
        """
        now = self._clock.now()
        controls = {}
        for key, entry in self._unknown_entries():
            session = self._sessions.find(key) if entry.flags & UPCALL else None
            if session is not None:
                connection = self._adopt_entry(key, entry, now)
                connection.ftp = session
                controls[_ftp_peers(key, entry)] = connection
        for key, entry in self._unknown_entries():
            control = controls.get(_ftp_peers(key, entry))
            if control is None and not self._servers.at(entry.server)[0].policy.persistent:
                self._release_to_program(key, entry)
                continue
            connection = self._adopt_entry(key, entry, now)
            if control is not None and connection.control is None:
                connection.control = control
                control.children += 1

    def _release_to_program(self, key: bytes, entry: Entry) -> None:
        protocol, client, vip = parse_flow_key(key)
        if _is_mixed(vip, self._servers.at(entry.server)[1].address):
            self._clear_flags(key, CORE_OWNED)
            return
        self._clear_flags(flow_key(protocol, entry.endpoint, client), UPCALL)
        self._clear_flags(key, UPCALL | CORE_OWNED)


def _ftp_peers(key: bytes, entry: Entry) -> tuple[str, str, int]:
    """Client, VIP and server, which an ftp data connection shares with its control connection."""
    _, client, vip = parse_flow_key(key)
    return client.address, vip.address, entry.server


def _is_mixed(vip: Endpoint, server: Endpoint) -> bool:
    """Whether they are of two families: in a tunnel, whose packets all go to the core."""
    return family_of(vip.address) is not family_of(server.address)


def _expected_key(connection: Connection) -> ExpectedKey:
    return connection.protocol, connection.client, connection.vip


def _key(connection: Connection) -> bytes:
    return flow_key(connection.protocol, connection.client, connection.vip)


def _reply_key(connection: Connection) -> bytes:
    return flow_key(connection.protocol, connection.server_endpoint, connection.client)
