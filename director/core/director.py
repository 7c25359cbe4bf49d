"""The heart of the virtual server: a packet, the time and the tables go in, a decision comes out.

In the order in which a packet meets it:

    a fragment                                      -> waits until its packet is whole      fragments
    IP options that are wrong, or choose the way    -> dropped, and told                    ip_options
    an ICMP error about a known connection          -> to the end that has to hear of it    icmp
    a packet of a known connection from the client  -> to that connection's real server     known
    a packet of a known connection from the server  -> to the client, as the VIP's          known
    the first packet of a new connection            -> to the real server that is chosen    arrivals
    anything else                                   -> to the director's own kernel

No socket, no clock: the time is passed in, in seconds that only ever grow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

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

DEFAULT_TIMEOUTS = Timeouts()
DEFAULT_SYSCTLS = Sysctls()


@dataclass(frozen=True, slots=True)
class Change:
    """New rules that hold already: one of the two has to follow, before anything else happens.

    Only `commit` does what can't be taken back: it ends connections, forgets servers and tells events.
    """

    commit: Callable[[], None]
    roll_back: Callable[[], None]


class Director:
    """The tables of one director, and what it decides by them.

    `method` and `scheduler` hold for rules that name none, as in 1999, when both were compiled
    into the kernel. `conn_limit` bounds connections and templates together. `mtu_of` gives the
    MTU in bytes on the way to an address, `is_local` whether it is one of the director's own.
    An engine that keeps connections elsewhere brings its own `tables`. Without `ftp_helper` nobody reads
    what ftp says in VS-NAT, as in a kernel without the module ip_vs_ftp.
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
            self.rules, tables, self._lifecycle, self._overload, self.trace, mtu_of, ftp_helper=ftp_helper
        )
        self._estimated = 0.0

    # ---- what an administrator asks for ----

    def apply(self, commands: Sequence[Command], now: float) -> None:
        """Change the rules by all of `commands` at once; raises LvsError with nothing changed."""
        self.prepare(commands, now).commit()

    def prepare(self, commands: Sequence[Command], now: float) -> Change:
        """The same, but it can be rolled back until it is committed: whoever forwards may refuse it."""
        transaction = self.transaction()
        exhaust(transaction.write(commands))
        self.activate(transaction)
        return Change(partial(self._commit, transaction, commands, now), partial(self.roll_back, transaction))

    def _commit(self, transaction: Transaction, commands: Sequence[Command], now: float) -> None:
        exhaust(self.finish(transaction, deque(commands), now))

    def transaction(self) -> Transaction:
        """A change to write as slowly as one likes; then it is put in force, and settled or taken back."""
        return Transaction(self.rules)

    def activate(self, transaction: Transaction) -> None:
        """From now on, packets meet the rules of the transaction."""
        transaction.activate()
        self._use_settings()

    def roll_back(self, transaction: Transaction) -> None:
        """Nothing has happened, if it is called at once."""
        transaction.roll_back()
        self._use_settings()

    def finish(self, transaction: Transaction, commands: deque[Command], now: float) -> Steps:
        """What follows from new rules, and can't be taken back, in steps.

        It tells of the commands, of which none is left, ends connections, and forgets servers. Whoever takes
        one step has to take all of them.
        """
        while commands:
            self.trace.emit("rules", now, partial(_said, commands.popleft()))
            yield
        if self.rules.sysctls.expire_nodest_conn and transaction.deletes:
            yield from self._end_without_server(now)
        yield from transaction.finish()

    def _use_settings(self) -> None:
        self._lifecycle.use_timeouts(self.rules.timeouts)
        self._defend()

    def _end_without_server(self, now: float) -> Steps:
        for batch in self.connections.batches():
            for one in batch:
                if not one.server.configured:
                    known = self.connections.find_in(one.protocol, one.client, one.vip)
                    if known is not None and not known.server.configured:
                        self._lifecycle.end(known, now)
                yield

    def listing(self, now: float) -> Iterator[dict[str, Any]]:
        """All connections and templates, JSON-ready, one at a time: in between, packets may come."""
        for batch in self.connections.batches():
            yield from (one.as_dict(now) for one in batch)
        yield from (one.as_dict(now) for one in list(self.templates))

    # ---- what the time brings ----

    def tick(self, now: float, later: Callable[[Steps], object] = exhaust) -> None:
        """A second has passed: what is over ends, rates are estimated, an attack is noticed.

        `later` is given steps that have time until the next second.
        """
        self.expire(now)
        if now >= self._estimated + PERIOD:
            self._estimated = now
            later(self._estimate())
        self._defend()
        if drops_entries(self.rules.sysctls):
            looked_at = -(-len(self.connections) // SCAN_SHARE)
            for connection in chain.from_iterable(self.connections.scan(looked_at)):
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
        """End the connections and templates whose time has come; how many connections that were."""
        return self._lifecycle.expire(now)

    def _defend(self) -> None:
        used = len(self.connections) + len(self.templates)
        self.rules.sysctls = self._overload.update_strategies(used, self.rules.sysctls)
        self._lifecycle.secure = secures_tcp(self.rules.sysctls)

    # ---- what a packet brings ----

    def decide(self, packet: Packet, now: float) -> Decision:
        """The decision about `packet`; never raises, whatever the packet contains."""
        return self._forwarding.decide(packet, now)

    def dry_run(self, packet: Packet, now: float) -> tuple[Decision, list[Event]]:
        """What `decide` would say, and what would happen; nothing does.

        The same code decides, on copies of the rule and of what is known about the packet's ends.
        """
        events: list[Event] = []
        return self._copy_for(packet, Trace(events.append)).decide(packet, now), events

    def _copy_for(self, packet: Packet, trace: Trace) -> Director:
        about = packet.embedded or packet
        connections = ConnectionTable()
        templates = Templates()
        copies: dict[int, Any] = {id(self.connections): connections, id(self.templates): templates}
        copies[id(self.trace)] = trace
        for outside in (self._forwarding.mtu_of, *self.rules.shared_with_copies()):
            copies[id(outside)] = outside
        found = {one.key: one for one in map(self.rules.find, (packet, about)) if one is not None}
        copies[id(self.rules.by_key)] = {key: deepcopy(one, copies) for key, one in found.items()}
        twin: Director = deepcopy(self, copies)
        for connection in self._entries_for(packet):
            connections.add(deepcopy(connection, copies), connection.expires)
        for service in found.values():
            template = self.templates.find(key_for(service, about))
            if template is not None:
                templates.put(deepcopy(template, copies))
        return twin

    def _entries_for(self, packet: Packet) -> list[Connection]:
        """All connections that a decision about `packet` may look at."""
        about = packet.embedded or packet
        found: dict[tuple[int, Endpoint, Endpoint], Connection] = {}
        for each in (packet, about, about.embedded or about):
            for one, other in ((each.source, each.destination), (each.destination, each.source)):
                anyone = Endpoint(one.address, ANY_PORT)
                for known in (
                    self.connections.find_in(each.protocol, one, other),
                    self.connections.find_in(each.protocol, anyone, other),
                    self.connections.find_out(each.protocol, one, other),
                ):
                    if known is not None:
                        found.setdefault((known.protocol, known.client, known.vip), known)
        return list(found.values())


def _said(command: Command) -> dict[str, Any]:
    return {"command": str(command)}
