"""One director: its rules and tables, packets and time in, decisions and events out.

forwarding.py decides about packets, transaction.py changes the rules, connections.py has the table. Here they
meet: changes of the rules, what happens once a second, synchronisation, decisions, and dry runs of decisions.

No socket, no clock: the time is passed in, in seconds, and never goes back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from director.core.commands import Command
from director.core.connections import DEFAULT_BITS, Connection, ConnectionTable, Lifecycle, Tables
from director.core.decision import Decision
from director.core.events import Event, Trace
from director.core.forwarding import Forwarding
from director.core.overload import DEFAULT_LIMIT, SCAN_SHARE, Overload, drops_entries, secures_tcp
from director.core.packet import ANY_PORT, Endpoint, Packet
from director.core.persistence import Templates, key_for
from director.core.real_server import Method
from director.core.rules import Rules
from director.core.states import Timeouts
from director.core.statistics import PERIOD
from director.core.sysctls import Sysctls
from director.core.transaction import Steps, Transaction, exhaust

if TYPE_CHECKING:
    from director.core.sync import Enter, Receiver, Sender
    from director.core.sync_protocol import Plain, SyncRecord

DEFAULT_TIMEOUTS = Timeouts()
DEFAULT_SYSCTLS = Sysctls()


class Director:
    """The rules and tables of one director.

    `method` and `scheduler` are the defaults of commands that name none, as in 1999, when both were compiled
    into the kernel. `conn_limit` bounds connections and templates together. `mtu_of` gives the MTU in bytes
    of the path to an address, `is_local` whether it is one of the director's own, and `is_own` whether the
    source of a packet is one, or a broadcast address. An engine that keeps connections elsewhere brings its
    own `tables`. Without `ftp_helper`, ftp in VS-NAT is forwarded unread, as in a kernel without the module
    ip_vs_ftp.
    """

    def __init__(
        self,
        *,
        method: Method = Method.NAT,
        scheduler: str = "wrr",
        conn_tab_bits: int = DEFAULT_BITS,
        conn_limit: int = DEFAULT_LIMIT,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        sysctls: Sysctls = DEFAULT_SYSCTLS,
        mtu_of: Callable[[str], int] = lambda _address: 1500,
        is_local: Callable[[str], bool] = lambda _address: False,
        is_own: Callable[[str], bool] = lambda _address: False,
        on_event: Callable[[Event], None] | None = None,
        tables: Tables | None = None,
        ftp_helper: bool = True,
    ) -> None:
        self.rules = Rules(method, scheduler, timeouts=timeouts, sysctls=sysctls, is_local=is_local)
        tables = tables or Tables(ConnectionTable(conn_tab_bits), Templates())
        self.connections, self.templates = tables
        self._overload = Overload(conn_limit)
        self.trace = Trace(on_event)
        self._lifecycle = Lifecycle(tables, timeouts, self.trace)
        self._forwarding = Forwarding(
            self.rules,
            tables,
            self._lifecycle,
            self._overload,
            self.trace,
            mtu_of,
            is_own,
            ftp_helper=ftp_helper,
        )
        self._estimated = 0.0
        self._ftp_helper = ftp_helper
        self._receiver: Receiver | None = None
        self.enter: Enter | None = None  # of a data plane that enters synchronised connections itself
        self._is_backup = False

    # ---- changes of the rules ----

    def apply(self, commands: Sequence[Command], now: float) -> None:
        """Change the rules by all of `commands` at once. Raises LvsError; then nothing has changed."""
        transaction = self.transaction()
        exhaust(transaction.write(commands))
        self.activate(transaction)
        exhaust(self.finish(transaction, deque(commands), now))

    def transaction(self) -> Transaction:
        """A change to be written at the caller's pace, then activated and finished, or rolled back."""
        return Transaction(self.rules)

    def activate(self, transaction: Transaction) -> None:
        """Apply the new rules to the packets that follow."""
        transaction.activate()
        self._use_settings()

    def roll_back(self, transaction: Transaction) -> None:
        """Undo `activate`, if no packet has come since."""
        transaction.roll_back()
        self._use_settings()

    def finish(self, transaction: Transaction, commands: deque[Command], now: float) -> Steps:
        """The consequences of new rules that can't be rolled back, in steps that must all be taken.

        Takes each command from `commands` and emits an event; then ends connections and forgets servers.
        """
        while commands:
            self.trace.emit("rules", now, partial(_event_data, commands.popleft()))
            yield
        if self.rules.sysctls.expire_nodest_conn and transaction.deletes:
            yield from self._end_without_server(now)
        if self._receiver is not None:
            yield from self._receiver.bind(now)
        yield from transaction.finish()

    def _use_settings(self) -> None:
        self._lifecycle.use_timeouts(self.rules.timeouts)
        self._forwarding.stands_by = self._is_backup and bool(self.rules.sysctls.backup_only)
        self._update_overload()

    def _end_without_server(self, now: float) -> Steps:
        for batch in self.connections.batches():
            for listed in batch:
                if not listed.server.configured:
                    known = self.connections.find_in(listed.protocol, listed.client, listed.vip)
                    if known is not None and not known.server.configured:  # it may have changed since
                        self._lifecycle.end(known, now)
                yield

    def listing(self, now: float, most: int | None = None) -> Iterator[dict[str, Any]]:
        """All connections and templates, JSON-ready, one at a time: in between, packets may come.

        With `most`, no more than that many of each, in the table's order.
        """
        connections = (
            connection.as_dict(now) for batch in self.connections.batches() for connection in batch
        )
        yield from islice(connections, most)
        yield from islice((template.as_dict(now) for template in list(self.templates)), most)
        if self._receiver is not None:
            yield from self._receiver.listing(now)

    # ---- once a second ----

    def tick(self, now: float, later: Callable[[Steps], object] = exhaust) -> None:
        """Expire entries, estimate rates, and check for an overload; called every second.

        `later` gets steps that must be taken before the next second.
        """
        self.expire(now)
        if now >= self._estimated + PERIOD:
            self._estimated = now
            later(self._estimate())
        self._update_overload()
        if drops_entries(self.rules.sysctls):
            number = -(-len(self.connections) // SCAN_SHARE)
            for connection in chain.from_iterable(self.connections.scan(number)):
                if self._overload.drops_entry(connection, self._lifecycle.idle(connection, now)):
                    self._lifecycle.evict(connection, now)

    def _estimate(self) -> Steps:
        for service in self.rules:
            service.stats.estimate()
            yield
            for server in service.servers:
                server.stats.estimate()
                yield

    def expire(self, now: float) -> int:
        """End the connections and templates that have expired; returns the number of connections."""
        if self._receiver is not None:
            self._receiver.expire(now)
        return self._lifecycle.expire(now)

    def _update_overload(self) -> None:
        used = len(self.connections) + len(self.templates)
        self.rules.sysctls = self._overload.update_strategies(used, self.rules.sysctls)
        self._lifecycle.secure = secures_tcp(self.rules.sysctls)

    # ---- another director ----

    def set_sender(
        self,
        send: Callable[[SyncRecord, float], None] | None,
        pass_on: Callable[[Sequence[bytes], float], None] | None = None,
    ) -> Sender | None:
        """Synchronise another director: `send` gets the records of connections; None ends it.

        `pass_on` gets messages that the data plane has encoded.
        """
        from director.core.sync import Sender  # only now, as most directors are alone

        self._forwarding.sender = Sender(self.rules, send, pass_on) if send is not None else None
        self._note_synchronisation()
        return self._forwarding.sender

    def send_everything(self, now: float) -> Iterator[None]:
        """Send all connections and templates to the other director, in steps."""
        sender = self._forwarding.sender
        if sender is not None:
            yield from sender.everything(Tables(self.connections, self.templates), now)

    @property
    def sender(self) -> Sender | None:
        return self._forwarding.sender

    @property
    def stands_by(self) -> bool:
        """Whether it forwards nothing, as a backup with backup_only."""
        return self._forwarding.stands_by

    def be_backup(self, *, backup: bool) -> None:
        """Start or end being the backup of another director, which synchronises it."""
        self._is_backup = backup
        self._note_synchronisation()
        self._use_settings()

    def _note_synchronisation(self) -> None:
        self.rules.synchronised = self._is_backup or self._forwarding.sender is not None

    def receive(self, record: SyncRecord, now: float) -> bool:
        """Enter a record from another director; False if it was not used."""
        if self._receiver is None:
            self._receiver = self._new_receiver()
        return self._receiver.receive(record, now)

    @property
    def takes_plain(self) -> bool:
        """Whether the data plane enters connections by itself."""
        return self.enter is not None

    def receive_plain(self, message: Plain, clock: Callable[[], float]) -> Iterator[tuple[int, int]]:
        """Enter a whole message, in steps: the numbers of connections that were entered and that were not."""
        if self._receiver is None:
            self._receiver = self._new_receiver()
        assert self.enter is not None
        yield from self._receiver.receive_plain(message, self.enter, clock)

    def _new_receiver(self) -> Receiver:
        from director.core.sync import Receiver

        return Receiver(
            self.rules,
            Tables(self.connections, self.templates),
            self._lifecycle,
            self._overload,
            ftp_helper=self._ftp_helper,
        )

    # ---- packets ----

    def knows(self, protocol: int, source: Endpoint, destination: Endpoint) -> bool:
        """Whether a packet between these endpoints belongs to a connection, in either direction."""
        table = self.connections
        return bool(
            table.find_in(protocol, source, destination) or table.find_out(protocol, source, destination)
        )

    def decide(self, packet: Packet, now: float) -> Decision:
        """The decision about `packet`; never raises, whatever the packet contains."""
        return self._forwarding.decide(packet, now)

    def dry_run(self, packet: Packet, now: float) -> tuple[Decision, list[Event]]:
        """What `decide` would return, and the events it would emit; nothing changes.

        The same code decides, on copies of the service and of the entries for the packet's endpoints.
        """
        events: list[Event] = []
        return self._copy_for(packet, Trace(events.append)).decide(packet, now), events

    def _copy_for(self, packet: Packet, trace: Trace) -> Director:
        quoted = packet.embedded or packet
        connections = ConnectionTable()
        templates = Templates()
        copies: dict[int, Any] = {id(self.connections): connections, id(self.templates): templates}
        copies[id(self.trace)] = trace
        for shared in (self._forwarding.mtu_of, self._forwarding.is_own, *self.rules.shared_with_copies()):
            copies[id(shared)] = shared
        found = (self.rules.find(packet), self.rules.find(quoted))
        services = {service.key: service for service in found if service is not None}
        copies[id(self.rules.by_key)] = {key: deepcopy(service, copies) for key, service in services.items()}
        twin: Director = deepcopy(self, copies)
        for connection in self._entries_for(packet):
            connections.add(deepcopy(connection, copies), connection.expires)
        for service in services.values():
            template = self.templates.find(key_for(service, quoted))
            if template is not None:
                templates.insert_copy(deepcopy(template, copies))
        return twin

    def _entries_for(self, packet: Packet) -> list[Connection]:
        """All connections that a decision about `packet` may look at."""
        quoted = packet.embedded or packet
        entries: dict[tuple[int, Endpoint, Endpoint], Connection] = {}
        for about in (packet, quoted, quoted.embedded or quoted):
            directions = (about.source, about.destination), (about.destination, about.source)
            for source, destination in directions:
                any_port = Endpoint(source.address, ANY_PORT)
                for known in (
                    self.connections.find_in(about.protocol, source, destination),
                    self.connections.find_in(about.protocol, any_port, destination),
                    self.connections.find_out(about.protocol, source, destination),
                ):
                    if known is not None:
                        entries.setdefault((known.protocol, known.client, known.vip), known)
        return list(entries.values())


def _event_data(command: Command) -> dict[str, Any]:
    return {"command": str(command)}
