"""When a director sends a connection to its backup, and what the backup does with it.

The rules are those of kernel IPVS (ip_vs_sync_conn_needed, ip_vs_proc_conn); sync_protocol.py has the form of
the messages. Their settings are in sysctls.py.

    a connection is sent     TCP in one of the states SENT, UDP always:
                             at its third packet from the client, and then at every fiftieth
                             (sync_threshold 3, sync_period 50); at once when it is closing
    a template is sent       after each packet of its connections
    a record that arrives    creates a connection, or moves a known one to its state and restarts its timer
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from director.core.connections import Connection, Lifecycle, Tables
from director.core.family import IPV4, family_of
from director.core.ftp import Session
from director.core.overload import Overload
from director.core.packet import PROTOCOL_NAMES, TCP, UDP, Endpoint
from director.core.persistence import Template, TemplateKey
from director.core.real_server import Method, RealServer
from director.core.rules import Rules
from director.core.service import VirtualService
from director.core.states import State, Timeouts
from director.core.sync_protocol import (
    NO_SHIFT,
    TCP_STATES,
    Flag,
    Plain,
    Shift,
    SyncMark,
    SyncRecord,
)
from director.core.tcp_stream import Edits, KnownShift
from director.core.timers import UNSET, Timers

Entry = Connection | Template
Key = tuple[int, Endpoint, Endpoint]  # protocol, client and VIP
Found = tuple[VirtualService, RealServer] | None
# Enters the connections of a message, from an index on and up to a limit of the table's size, until one that
# only the core can enter. Returns how many were entered, and the next index. The function looks up a record's
# service and real server.
Enter = Callable[[Plain, int, int, Callable[[SyncRecord], Found]], tuple[int, int]]

SENT = frozenset(
    {State.ESTABLISHED, State.FIN_WAIT, State.TIME_WAIT, State.CLOSE, State.CLOSE_WAIT}
)  # never a half-open connection
_OVER = frozenset({State.TIME_WAIT, State.CLOSE})  # nothing is lost with these
_MAX_SKIPPED = 64  # connections, in a step
ROOM_FOR_CLIENTS = 8  # one in 8 entries of the table is reserved for this director's own clients
_TEMPLATE_TIMEOUT = 180.0  # seconds; version 0 has no timeouts
_LEAST_REFRESH = 10.0  # seconds
_RETRIES = 8  # retries are at least an eighth of sync_refresh_period apart
_METHODS = {
    Method.NAT: Flag.MASQUERADING,
    Method.LOCAL: Flag.LOCAL_NODE,
    Method.TUN: Flag.TUNNEL,
    Method.DR: Flag.DIRECT_ROUTE,
}
_ASSURED = 1  # a template's state
_MOST_MARKS = 65536
# As plain numbers, which are faster than enum members.
_TEMPLATE, _INACTIVE, _NO_CLIENT_PORT = int(Flag.TEMPLATE), int(Flag.INACTIVE), int(Flag.NO_CLIENT_PORT)


class _ByState:
    """Timeouts by state, looked up again when they have changed."""

    def __init__(self) -> None:
        self._known: Timeouts | None = None
        self._by_state: dict[State, float] = {}

    def of(self, timeouts: Timeouts) -> dict[State, float]:
        if timeouts is not self._known:
            self._known, self._by_state = timeouts, timeouts.by_state()
        return self._by_state


# ---- the master ----


def _not_sent(_records: object, _now: float) -> None:
    """An output for records that nobody receives."""


class Sender:
    """Decides what is sent to the backup; `send` gets each record.

    `pass_on` gets records that a data plane has encoded in version 1, after deciding by itself.
    """

    def __init__(
        self,
        rules: Rules,
        send: Callable[[SyncRecord, float], None],
        pass_on: Callable[[Sequence[bytes], float], None] | None = None,
    ) -> None:
        self._rules = rules
        self._send = send
        self.pass_on = pass_on or _not_sent
        self._timeouts = _ByState()
        self._marks: dict[Key, SyncMark] = {}  # of connections that are kept elsewhere than in the core

    def __deepcopy__(self, _memo: object) -> Sender:
        """A copy of a director, such as a dry run's, sends nothing."""
        return Sender(self._rules, _not_sent)

    def offer(self, connection: Connection, now: float) -> None:
        """The client has sent another packet: send its connection, and what that depends on, if due."""
        one_packet = connection.service.policy.one_packet and connection.protocol == UDP
        if not one_packet and self._is_due(connection, connection.packets, now):
            self._send(self._record(connection), now)
        elif not self._rules.sysctls.sync_version:
            return
        self._offer_control(connection, now)

    def send_due(self, connection: Connection, now: float) -> None:
        """Send a connection that is due by its packets and states, unless sync_refresh_period forbids it.

        `connection` was made for this call, by an engine whose data plane keeps the connections.
        """
        sysctls = self._rules.sysctls
        is_due = not (sysctls.sync_persist_mode and _in_persistence(connection))
        if is_due and sysctls.sync_refresh_period:
            if len(self._marks) > _MOST_MARKS:
                self._marks.clear()
            key = (connection.protocol, connection.client, connection.vip)
            connection.sync = self._marks.setdefault(key, connection.sync or SyncMark())
            is_due = self._is_due(connection, connection.packets, now)
        if is_due:
            self._send(self._record(connection), now)
        self._offer_control(connection, now)

    def everything(self, tables: Tables, now: float) -> Iterator[None]:
        """Send the whole table, one record in each step, with the time that each entry has left.

        The connections that are over come last: there are many of them where connections are short, and the
        director that asks may take over before it has received all.
        """
        yield from self._send_connections(tables, now, SENT - _OVER)
        for template in list(tables.templates):
            if not template.invalid:
                self._send_rest(template, now)
                yield
        yield from self._send_connections(tables, now, _OVER)

    def _send_connections(self, tables: Tables, now: float, states: frozenset[State]) -> Iterator[None]:
        """Send those in one of these states; UDP, which has only one state, goes with ESTABLISHED."""
        skipped = 0
        for batch in tables.connections.batches():
            for connection in batch:
                state = State.ESTABLISHED if connection.protocol == UDP else connection.state
                if state in states:
                    self._send_rest(connection, now)
                    yield
                else:
                    skipped += 1
                    if skipped % _MAX_SKIPPED == 0:
                        yield

    def _send_rest(self, entry: Entry, now: float) -> None:
        if not self._is_encodable(entry):
            return
        left = max(1, int(entry.expires - now))
        self._send(self._record(entry)._replace(timeout=left), now)

    def _offer_control(self, entry: Entry, now: float) -> None:
        """The same for the template or the ftp control connection of a connection."""
        control = entry.control if isinstance(entry, Connection) else None
        if control is None:
            return
        packets = self._rules.sysctls.sync_threshold
        if isinstance(control, Template):
            mark = _mark(control)
            mark.packets += 1
            packets = mark.packets
        if self._is_due(control, packets, now):
            self._send(self._record(control), now)
        self._offer_control(control, now)

    def _is_due(self, entry: Entry, packets: int, now: float) -> bool:
        """Whether to send it now that it has had `packets` packets; if so, remember that it was sent."""
        if not self._is_encodable(entry):
            return False
        sysctls, mark = self._rules.sysctls, _mark(entry)
        state = None
        if isinstance(entry, Connection):
            if sysctls.sync_persist_mode and _in_persistence(entry):
                return False
            state = entry.state
            if entry.protocol == TCP:
                if state not in SENT:
                    return False
                if state is not mark.state and state is not State.ESTABLISHED:
                    return self._remember(mark, entry, now)
        period, refresh, retries = sysctls.sync_period, sysctls.sync_refresh_period, 0
        if refresh and mark.ends is not None:
            timeout = self._timeout(entry)
            moved = abs(now + timeout - mark.ends)
            if moved < min(refresh, max(timeout / 2, _LEAST_REFRESH)):
                since = now - (mark.ends - timeout)
                if mark.retries >= sysctls.sync_retries or since < refresh / _RETRIES:
                    return False
                retries = mark.retries + 1
        if period:
            if state is not None and packets % period != sysctls.sync_threshold:
                return False
        elif not refresh and packets != sysctls.sync_threshold:
            return False
        return self._remember(mark, entry, now, retries)

    def _remember(self, mark: SyncMark, entry: Entry, now: float, retries: int = 0) -> bool:
        mark.state = entry.state if isinstance(entry, Connection) else None
        mark.ends, mark.retries = now + self._timeout(entry), retries
        return True

    def _is_encodable(self, entry: Entry) -> bool:
        """Whether messages can carry it: not a connection of two families, and IPv6 in version 1 only."""
        vip = entry.key.vip if isinstance(entry, Template) else entry.vip
        family = family_of(vip.address)
        if family is not family_of(entry.server_endpoint.address):
            return False
        return family is IPV4 or bool(self._rules.sysctls.sync_version)

    def _timeout(self, entry: Entry) -> float:
        if isinstance(entry, Template):
            return entry.lifetime
        return self._timeouts.of(self._rules.timeouts)[entry.state]

    def _record(self, entry: Entry) -> SyncRecord:
        if isinstance(entry, Template):
            return self._template(entry)
        flags = _flags(entry)
        if not entry.active:
            flags |= Flag.INACTIVE
        from_server = _shift(entry.ftp)
        if from_server:
            flags |= Flag.OUT_SEQUENCE
        return SyncRecord(
            entry.protocol,
            entry.client,
            entry.vip,
            entry.server_endpoint,
            flags,
            0 if entry.protocol == UDP else TCP_STATES.index(entry.state),
            int(self._timeout(entry)),
            entry.service.key.mark,
            NO_SHIFT,
            from_server or NO_SHIFT,
        )

    @staticmethod
    def _template(template: Template) -> SyncRecord:
        key = template.key
        return SyncRecord(
            key.protocol,
            Endpoint(key.network, 0),
            key.vip,
            template.server_endpoint,
            _flags(template) | Flag.INACTIVE | Flag.TEMPLATE,
            _ASSURED if template.assured else 0,
            template.lifetime,
            template.service.key.mark,
        )


def _mark(entry: Entry) -> SyncMark:
    if entry.sync is None:
        entry.sync = SyncMark()
    return entry.sync


def _in_persistence(connection: Connection) -> bool:
    control = connection.control
    while isinstance(control, Connection):
        control = control.control
    return control is not None


def _flags(entry: Entry) -> int:
    method = entry.server.method if isinstance(entry, Template) else entry.method
    flags = int(_METHODS[method])
    if method is not Method.NAT:
        flags |= Flag.NO_OUTPUT
    if entry.sync is not None and entry.sync.received:
        flags |= Flag.SYNC
    return flags


def _shift(session: Session | None) -> Shift | None:
    """The last shift of an ftp server's replies: by how many bytes, and from which sequence number."""
    known = session.edits.last_shift() if session else None
    return Shift(known.start, known.before + known.growth, known.before) if known else None


# ---- the backup ----


class _Unbound:
    """A connection whose service or real server this director does not have yet."""

    __slots__ = ("children", "expires", "record", "scheduled")

    def __init__(self, record: SyncRecord) -> None:
        self.record = record
        self.expires = 0.0
        self.scheduled = UNSET
        self.children = 0


class Receiver:
    """Enters the records of another director into the tables.

    A record about a service or a real server that is not there waits, until its timeout, for a rule that
    adds it. Records leave room in the table for this director's own clients, and never evict a connection.
    """

    def __init__(
        self, rules: Rules, tables: Tables, lifecycle: Lifecycle, overload: Overload, *, ftp_helper: bool
    ) -> None:
        self._rules = rules
        self._connections, self._templates = tables
        self._lifecycle = lifecycle
        self._limit = overload.limit - -(-overload.limit // ROOM_FOR_CLIENTS)
        self._ftp_helper = ftp_helper
        self._timeouts = _ByState()
        self._unbound: dict[Key, _Unbound] = {}
        self._timers: Timers[_Unbound] = Timers()

    def __deepcopy__(self, _memo: object) -> Receiver:
        """A copy of a director, such as a dry run's, receives nothing."""
        return self

    def listing(self, now: float) -> Iterator[dict[str, Any]]:
        """Records that wait for a rule, in the form of a connection."""
        for waiting in list(self._unbound.values()):
            yield _as_dict(waiting.record, max(0.0, round(waiting.expires - now, 3)))

    def receive(self, record: SyncRecord, now: float) -> bool:
        """Enter a record; False if it was not used."""
        if record.flags & _NO_CLIENT_PORT:
            return False
        if record.flags & _TEMPLATE:
            return record.protocol in (0, TCP, UDP) and self._receive_template(record, now)
        if record.protocol not in (TCP, UDP):
            return False
        known = self._connections.find_in(record.protocol, record.client, record.vip)
        waiting = self._unbound.get(_key(record)) if self._unbound else None
        server = known.server_endpoint if known else waiting.record.server if waiting else record.server
        if server != record.server:
            if record.flags & _INACTIVE:
                return False  # about a connection that was replaced
            if known is not None:
                self._lifecycle.end(known, now)
                known = None
            self._forget(record)
        if known is not None:
            self._update(known, record, now)
            return True
        return self._create(record, now)

    def receive_plain(
        self, message: Plain, enter: Enter, clock: Callable[[], float]
    ) -> Iterator[tuple[int, int]]:
        """Let the data plane enter what it can, and enter the rest, in the order of the message.

        Yields after each step how many connections were entered in it, and how many were not used.
        """
        at = 0
        waits = bool(self._unbound) and any(map(self._awaits, message.all_records()))
        while at < message.number:
            if not waits:
                limit = self._limit - len(self._unbound) - self._connections.expectations
                entered, after = enter(message, at, limit, self._find_server)
                if after > at:
                    yield entered, after - at - entered
                    at = after
                    continue
            record = message.record(at)
            taken = record is not None and self.receive(record, clock())
            waits = waits or self._awaits(record)
            yield int(taken), int(not taken)
            at += 1

    def _awaits(self, record: SyncRecord | None) -> bool:
        """Whether a record of this connection waits for a rule."""
        return record is not None and _key(record) in self._unbound

    def _update(self, connection: Connection, record: SyncRecord, now: float) -> None:
        state = _state(record)
        threshold = self._rules.sysctls.sync_threshold
        unsaved = connection.packets < threshold or connection.ftp is not None
        connection.packets = threshold
        mark = _mark(connection)
        mark.state = state
        session = connection.ftp
        if session is not None and mark.received and session.sent is None:
            session.edits = _edits(record)
        self._lifecycle.set_state(connection, state, now, self._timeout(record, state))
        if unsaved:
            self._connections.store(connection)

    def _create(self, record: SyncRecord, now: float) -> bool:
        found = self._find_server(record)
        if found is None:
            return self._wait(record, now)
        self._forget(record)
        if self._is_full():
            return False
        service, server = found
        state = _state(record)
        connection = Connection(record.protocol, record.client, record.vip, record.server, server, service)
        connection.state = state
        connection.packets = self._rules.sysctls.sync_threshold
        connection.sync = SyncMark(received=True, state=state)
        if self._ftp_helper and connection.method is Method.NAT and connection.is_ftp_control:
            connection.ftp = Session(edits=_edits(record))
        why = "received from another director"
        self._lifecycle.open(connection, now, why, self._timeout(record, state))
        if connection.ftp is not None:
            self._connections.store(connection)
        return True

    def _receive_template(self, record: SyncRecord, now: float) -> bool:
        key = TemplateKey(record.protocol, record.client.address, record.vip)
        template = self._templates.find(key)
        timeout = record.timeout or _TEMPLATE_TIMEOUT
        if template is None:
            found = self._find_server(record)
            if found is None:
                return self._wait(record, now)
            self._forget(record)
            if self._is_full():
                return False
            service, server = found
            template = Template(
                key, service, server, record.server, service.policy.persistent or int(timeout)
            )
            template.sync = SyncMark(received=True)
            self._templates.add(template, now + timeout - template.lifetime)
        else:
            self._templates.renew(template, now + timeout - template.lifetime)
        template.assured = record.state == _ASSURED
        _mark(template).packets = self._rules.sysctls.sync_threshold
        return True

    def _timeout(self, record: SyncRecord, state: State) -> float:
        return record.timeout or self._timeouts.of(self._rules.timeouts)[state]

    def _is_full(self) -> bool:
        used = len(self._connections) + len(self._templates) + len(self._unbound)
        return used >= self._limit

    def _find_server(self, record: SyncRecord) -> Found:
        """The service of a record and its real server, whose rule may have port 0.

        An ftp data connection, and ftp's template with port 0, have the service and the server of the control
        connection. (The kernel finds no server for the former, and forwards it all the same.)
        """
        service = self._rules.find_service(record.protocol, record.vip, record.mark)
        ftp = self._rules.find_ftp(record.protocol, record.vip)
        if service is None and record.flags & _TEMPLATE and not record.vip.port:
            service = ftp
        if service is None:
            return None
        server = service.server(record.server) or service.server(record.server._replace(port=0))
        if server is None and (service is ftp or not record.server.port):
            address = record.server.address
            server = next((server for server in service.servers if server.address.address == address), None)
        return (service, server) if server else None

    # ---- records that wait for a rule ----

    def _wait(self, record: SyncRecord, now: float) -> bool:
        key = _key(record)
        waiting = self._unbound.get(key)
        if waiting is None:
            if self._is_full():
                return False
            waiting = self._unbound[key] = _Unbound(record)
        waiting.record = record
        template = record.flags & Flag.TEMPLATE
        timeout = record.timeout if record.timeout or template else self._timeout(record, _state(record))
        self._timers.refresh(waiting, now + (timeout or _TEMPLATE_TIMEOUT))
        return True

    def _forget(self, record: SyncRecord) -> None:
        if not self._unbound:
            return
        waiting = self._unbound.pop(_key(record), None)
        if waiting is not None:
            self._timers.cancel(waiting)

    def expire(self, now: float) -> None:
        """Forget the waiting records that have expired."""
        for waiting in self._timers.expired(now):
            self._unbound.pop(_key(waiting.record), None)

    def bind(self, now: float) -> Iterator[None]:
        """The rules have changed: enter the records that have waited for it, one in each step."""
        for key, waiting in list(self._unbound.items()):
            if self._unbound.get(key) is waiting and self._find_server(waiting.record):
                self.receive(waiting.record._replace(timeout=max(1, int(waiting.expires - now))), now)
            yield


def _key(record: SyncRecord) -> Key:
    """The key under which it waits; for a template, with a client's port that no connection has."""
    client = record.client._replace(port=-1) if record.flags & Flag.TEMPLATE else record.client
    return record.protocol, client, record.vip


def _state(record: SyncRecord) -> State:
    return State.UDP if record.protocol == UDP else TCP_STATES[record.state]


def _as_dict(record: SyncRecord, expires: float) -> dict[str, Any]:
    if record.flags & Flag.TEMPLATE:
        state = "ASSURED" if record.state == _ASSURED else "NONE"
    else:
        state = _state(record).value
    return {
        "protocol": PROTOCOL_NAMES[record.protocol] if record.protocol else "IP",
        "expires": expires,
        "state": state,
        "client": str(record.client),
        "vip": str(record.vip),
        "server": str(record.server),
        "origin": "SYNC",
    }


def _edits(record: SyncRecord) -> Edits:
    shift = record.from_server
    if not record.flags & Flag.OUT_SEQUENCE:
        return Edits()
    known = KnownShift(shift.start, shift.previous, shift.delta - shift.previous)
    return Edits(settled=shift.previous, shift=known)
