"""The requests that a running director answers on its control socket.

    {"do": "apply", "commands": [...]}   change the rules: all commands or none
    {"do": "list"}                       the rules, with the counters of every real server; with
                                         "at_once", counters that may be two seconds old
    {"do": "connections"}                the connection table, templates included; with "most", no more than
                                         that many connections and templates, in the table's order
    {"do": "explain", ...}               what the director would do with a packet, and why (explanation.py)
    {"do": "packet_table", ...}          the packet table of a client's connections (explanation.py)
    {"do": "counters"}                   counters of the engine, of the process and of sync daemons
    {"do": "start_daemon", ...}          send connections to another director, or receive them: the fields
                                         of DaemonConfig (core/sync_protocol.py)
    {"do": "stop_daemon", "role": ...}   stop that: master or backup
    {"do": "daemons"}                    the daemons that are running, with their counters

An answer has "ok": true and what was asked for, or "ok": false and "error", one sentence. If one of many
commands was refused, "place" is its index. Work that takes more than a moment is done in steps, and packets
are forwarded in between: a change is prepared while the old rules are in force, and then takes effect for all
packets at once. A listing is not a snapshot; neither is the kernel's.
"""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import fields
from itertools import chain
from typing import TYPE_CHECKING, Any

from director.control.channel import ROWS_PER_LINE, merge
from director.control.explanation import Explainer
from director.core.commands import Command, DeleteServer, DeleteService, Zero, addresses_in
from director.core.errors import LvsError
from director.core.events import Trace
from director.core.family import family_of
from director.core.service import VirtualService
from director.core.transaction import Transaction, exhaust
from director.engines.engine import Daemons, Engine, EngineError
from director.formats.command_json import Json, decode, encode

if TYPE_CHECKING:
    from director.control.channel import Message
    from director.control.listener import Steps
    from director.core.director import Director

_OFTEN, _LARGE = 250, 5000  # steps between two young collections; steps of a large change
_ZERO_ALL: tuple[list[Json], ...] = ([encode(Zero())], [{**encode(Zero()), "key": None}])
_MAX_ZEROED = 5000  # services and servers whose counters are zeroed at the same moment
_MAX_SHOWN = 200  # characters
_NEVER = 1_000_000_000  # young collections before a full one


class RequestHandler:
    """`steps(request)` yields the steps of the answer. It never raises, whatever a client has sent.

    Calling the handler takes all steps at once and returns the answer. `run_later` gets the work that is left
    when the client goes away, and must finish it.
    """

    def __init__(
        self, director: Director, engine: Engine, clock: Callable[[], float], about: Message
    ) -> None:
        """`about` is what "list" returns about the director besides its rules."""
        self.run_later: Callable[[Iterator[None]], object] = exhaust
        self.open_daemons: Callable[[], Daemons | None] = lambda: None
        self._daemons: Daemons | None = None
        self._director = director
        self._engine = engine
        self._clock = clock
        self._about = about
        self._is_changing = self._is_restoring = False
        self.internal_errors = 0  # of requests and background tasks
        explainer = Explainer(director, engine, clock)
        self._answers: dict[str, Callable[[Message], Message | Steps]] = {
            "apply": self._apply,
            "list": self._list,
            "connections": self._connections,
            "counters": self._counters,
            "start_daemon": self._start_daemon,
            "stop_daemon": self._stop_daemon,
            "daemons": lambda _request: {"daemons": self._running_daemons()},
            "explain": self._by_the_core(explainer.explain),
            "packet_table": self._by_the_core(explainer.packet_table),
        }

    def __call__(self, request: Message) -> Message:
        whole: Message = {}
        for part in self.steps(request):
            merge(whole, part or {})
        return whole

    def steps(self, request: Message) -> Steps:
        """Yields None for each step of work, and the parts of the answer."""
        wanted = request.get("do")
        answer = self._answers.get(wanted) if isinstance(wanted, str) else None
        if answer is None:
            yield _refused(f"do: expected one of {', '.join(self._answers)}, got {wanted!r}.")
            return
        try:
            made = answer(request)
            if isinstance(made, dict):
                yield {"ok": True, **made}
                return
            yield from made
            yield {"ok": True}
        except _Refused as refused:
            yield {**_refused(str(refused)), "place": refused.place}
        except (EngineError, LvsError, ValueError) as error:
            yield _refused(str(error))

    def _by_the_core(self, explain: Callable[[Message], Message]) -> Callable[[Message], Message]:
        """The answer of `explain`, or a refusal if the kernel decides."""

        def refuse(_request: Message) -> Message:
            raise EngineError(
                f"The engine {self._about['engine']} decides in the kernel and gives no reasons."
            )

        def explain_now(request: Message) -> Message:
            self._engine.sync_schedulers()
            return explain(request)

        return explain_now if self._engine.explains else refuse

    # ---- a change of the rules ----

    def _apply(self, request: Message) -> Steps:
        while self._is_changing or self._is_restoring:  # one change at a time: the next one builds on it
            yield None
        self._is_changing = True
        try:
            for part in self._parts_of(request):
                yield from _with_few_collections(self._write(part))
        finally:
            self._is_changing = False

    def _parts_of(self, request: Message) -> Iterator[Message]:
        """The requests to carry out one by one: very many counters are zeroed some thousands at a time."""
        rules = self._director.rules
        if request.get("commands") not in _ZERO_ALL or sum(map(_rows, rules)) <= _MAX_ZEROED:
            yield request
            return
        batch: list[Json] = []
        size = 0
        for service in rules:
            batch.append(encode(Zero(service.key)))
            size += _rows(service)
            if size >= _MAX_ZEROED:
                yield {"commands": batch}
                batch, size = [], 0
        if batch:
            yield {"commands": batch}

    def _write(self, request: Message) -> Steps:
        transaction = self._director.transaction()
        commands = _Commands(request, transaction, self._director.trace, self._refuse_other_family)
        left: Iterator[None] = transaction.discard()
        try:
            yield from commands.write()
            yield from self._activate(transaction)
            finish = self._director.finish(transaction, commands.applied, self._clock())
            left = chain(finish, self._engine.finish_rules())
            for _ in left:
                yield None
        except (_Refused, EngineError, LvsError, ValueError) as error:
            refusal = {"command": commands.refused(), "why": str(error)}
            self._director.trace.emit("refused", self._clock(), lambda: refusal)
            raise
        finally:
            self.run_later(left)

    def _refuse_other_family(self, command: Command) -> None:
        """Raises EngineError for a command about packets that the engine does not forward."""
        for address in addresses_in(command):
            family = family_of(address)
            if family not in self._engine.families:
                raise EngineError(
                    f"The engine {self._about.get('engine', 'of this director')} does not forward {family} "
                    f"({address}): start the director with --engine scapy, which does."
                )

    def _activate(self, transaction: Transaction) -> Steps:
        """Put all of the new rules in force, or none. Raises EngineError."""
        try:
            for _ in self._engine.prepare_rules(transaction.vips, transaction.local_servers()):
                yield None
            self._engine.sync_schedulers()
            self._director.activate(transaction)
            try:
                self._engine.install_rules()
            except BaseException:
                self._director.roll_back(transaction)
                with suppress(Exception):  # the first refusal is the one to report
                    self._engine.install_rules()  # the old rules, in place of the half installed new ones
                raise
        except GeneratorExit:  # the client has gone away
            self._is_restoring = True
            self.run_later(self._restore())
            raise
        except BaseException:
            for _ in self._restore():
                yield None
            raise

    def _restore(self) -> Iterator[None]:
        """Undo what was prepared for rules that do not take effect."""
        rules = self._director.rules
        self._is_restoring = True
        try:
            with suppress(EngineError):
                yield from self._engine.prepare_rules(rules.vips(), rules.local_servers())
            yield from self._engine.finish_rules()
        finally:
            self._is_restoring = False

    # ---- listings ----

    def _list(self, request: Message) -> Steps:
        self._engine.sync_counters(wait=not request.get("at_once"))
        rules = self._director.rules
        timeouts = rules.timeouts
        yield {
            **self._about,
            "conn_tab_size": self._director.connections.buckets,
            "timeouts": {"tcp": timeouts.established, "tcpfin": timeouts.fin_wait, "udp": timeouts.udp},
            "sysctls": rules.sysctls.as_dict(),
            "marks": [mark.as_dict() for mark in rules.marks],
            "services": [],
        }
        yield from _in_parts(rules)

    def _connections(self, request: Message) -> Steps:
        most = request.get("most")
        if most is not None and (type(most) is not int or most < 0):
            raise ValueError(f"most: expected a number of connections, got {most!r}.")
        yield {"connections": []}
        yield from _batches({}, "connections", self._engine.connections(self._clock(), most))

    def _counters(self, _request: Message) -> Message:
        process = {
            "cpu_seconds": time.process_time(),
            "rss_bytes": _resident(),
            "internal_errors": self.internal_errors,
        }
        sync = {daemon["role"]: daemon.get("counters", {}) for daemon in self._running_daemons()}
        return {"engine": dict(self._engine.counters()), "process": process, "sync": sync}

    # ---- synchronisation with another director ----

    def _start_daemon(self, request: Message) -> Message:
        from director.core.sync_protocol import DaemonConfig  # only now: most directors are alone

        names = {field.name for field in fields(DaemonConfig)}
        wanted = {name: value for name, value in request.items() if name != "do"}
        unknown = sorted(wanted.keys() - names)
        if unknown or not wanted.keys() >= {"role", "interface"}:
            known = ", ".join(sorted(names))
            raise ValueError(f"start_daemon: expected role and interface, and no fields but {known}.")
        config = DaemonConfig(**wanted)
        self._daemons = self._daemons or self.open_daemons()
        if self._daemons is None:
            raise EngineError("This director has no synchronisation daemons.")
        self._daemons.start(config)
        return {}

    def _stop_daemon(self, request: Message) -> Message:
        role = request.get("role")
        if self._daemons is None or not isinstance(role, str):
            raise LvsError(f"No daemon is running as {role}.")
        self._daemons.stop(role)
        return {}

    def _running_daemons(self) -> list[Message]:
        return self._daemons.running() if self._daemons is not None else []

    def tick(self, now: float) -> None:
        """Called once a second."""
        if self._daemons is not None:
            self._daemons.tick(now)

    def close(self) -> None:
        """Stop the daemons."""
        if self._daemons is not None:
            self._daemons.close()
            self._daemons = None


def _rows(service: VirtualService) -> int:
    """A service and its servers, as rows of a listing."""
    return 1 + len(service.servers)


def _refused(sentence: str) -> Message:
    return {"ok": False, "error": sentence}


def _resident() -> int:
    """Bytes of memory in use (proc(5), statm)."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Refused(Exception):
    """One of many commands was refused; the message is the reason, `place` the command's index."""

    def __init__(self, why: str, place: int | None) -> None:
        super().__init__(why)
        self.place = place


class _Commands:
    """Writes the commands of a request into a transaction; `applied` has them if events are wanted."""

    def __init__(
        self, request: Message, transaction: Transaction, trace: Trace, check: Callable[[Command], None]
    ) -> None:
        """`check` raises EngineError for a command that the engine can't carry out."""
        self._check = check
        self.applied: deque[Command] = deque()
        self._request = request
        self._transaction = transaction
        self._trace = trace
        self._place: int | None = None  # of the command being written
        self._message: Any = None  # the same, as it came

    def write(self) -> Steps:
        """Raises _Refused."""
        try:
            yield from self._transaction.write(self._commands())
        except (EngineError, LvsError, ValueError) as error:
            raise _Refused(str(error), self._place) from None

    def _commands(self) -> Iterator[Command]:
        for place, message in enumerate(_messages(self._request)):
            self._place, self._message = place, message
            for command in self._read(message):
                self._check(command)
                if self._trace.enabled:
                    self.applied.append(command)
                yield command
            self._place = None

    def refused(self) -> str:
        """What was refused, as text for an event: the command, or the number of commands."""
        if self._place is None:
            return str(self.applied[0]) if len(self.applied) == 1 else f"{len(self.applied)} commands"
        try:
            return str(decode(self._message))
        except ValueError:
            return str(self._message)[:_MAX_SHOWN]

    def _read(self, message: Any) -> Iterator[Command]:
        """A DeleteServer with `"last": true` also deletes the service that it leaves without servers.

        ippfvsadm sends it: in 1999 a service was the list of its servers.
        """
        deletes = isinstance(message, dict) and message.get("command") == "DeleteServer"
        also_service = deletes and message.pop("last", False) is True
        command = decode(message)
        emptied: DeleteService | None = None
        if also_service and isinstance(command, DeleteServer) and self._transaction.is_last(command):
            emptied = DeleteService(command.key)
        yield command
        if emptied:
            yield emptied


def _messages(request: Message) -> Iterator[Any]:
    """The commands of a request that came in one line or in many, undecoded. Raises ValueError."""
    for part in request.get("parts", [request]):
        commands = part.get("commands")
        if not isinstance(commands, list):
            raise ValueError(f"commands: expected a list, got {commands!r}.")
        yield from commands


def _in_parts(services: Iterable[VirtualService]) -> Steps:
    """Services with their servers; a large service takes several parts."""
    batch: list[Message] = []
    rows = 0
    for service in services:
        if rows + len(service.servers) >= ROWS_PER_LINE and batch:
            yield {"services": batch}
            batch, rows = [], 0
        about: Message = {**service.about(), "servers": []}
        if len(service.servers) <= ROWS_PER_LINE:
            for server in service.servers:
                about["servers"].append(server.as_dict())
                yield None
            batch.append(about)
            rows += 1 + len(service.servers)
        else:
            yield {"services": [about]}
            yield from _batches(
                {"in": ["services", -1]}, "servers", (server.as_dict() for server in service.servers)
            )
    yield {"services": batch}


def _batches(about: Message, name: str, rows: Iterable[Message]) -> Steps:
    """A list in parts; `about` is in each of them."""
    batch: list[Message] = []
    for row in rows:
        batch.append(row)
        if len(batch) == ROWS_PER_LINE:
            yield {**about, name: batch}
            batch = []
        else:
            yield None
    if batch:
        yield {**about, name: batch}


def _with_few_collections(steps: Steps) -> Steps:
    """Prevent full garbage collections during a large change: its hundred thousand objects have no cycles.

    The objects of a large change live long, like those from the director's start, and are frozen, too.
    """
    before = gc.get_threshold()
    gc.set_threshold(*before[:2], _NEVER)
    taken = 0
    try:
        with closing(steps):
            for taken, part in enumerate(steps, start=1):
                if not taken % _OFTEN:
                    gc.collect(1)  # more often than Python would, as the program frees objects meanwhile
                yield part
    finally:
        if taken >= _LARGE:
            gc.collect(1)
            gc.freeze()
        gc.set_threshold(*before)
