"""What a running director answers over its control socket.

    {"do": "apply", "commands": [...]}   change the rules, all at once or not at all
    {"do": "list"}                       the rules, with the counters of every real server; with
                                         "at_once", those that may be two seconds late
    {"do": "connections"}                the connection table, templates included
    {"do": "explain", ...}               what would become of a packet, and why: explanation.py
    {"do": "packet_table", ...}               the packet table of a connection: the same
    {"do": "counters"}                   what the engine and the process have counted

An answer has "ok": true and what was asked for, or "ok": false and "error", one sentence; where one of many
commands was refused, "place" says which (the first is 0). What may take more than a moment is done in steps,
and packets go on in between: a change is written while the old rules are in force, and then holds for all
packets at once; a listing is not one moment's, as the kernel's is not.
"""

from __future__ import annotations

import gc
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from director.control.channel import ROWS_PER_LINE, merge
from director.control.explanation import Explainer
from director.core.commands import Command, DeleteServer, DeleteService
from director.core.errors import LvsError
from director.core.events import Trace
from director.core.service import VirtualService
from director.core.transaction import Transaction, exhaust
from director.engines.engine import Engine, EngineError
from director.formats.command_json import decode

if TYPE_CHECKING:
    from director.control.channel import Message
    from director.control.listener import Steps
    from director.core.director import Director

_FEW, _MANY = 250, 5000  # steps
_NEVER = 1_000_000_000  # young collections, before all objects are looked at


class RequestHandler:
    """`steps(request)` yields the steps of the answer. It never raises for what a client may have sent.

    Calling the handler takes all steps at once and returns the answer. `run_later` is given work that may
    be left when the client goes away, and has to finish it.
    """

    def __init__(
        self, director: Director, engine: Engine, clock: Callable[[], float], about: Message
    ) -> None:
        """`about` is what "list" tells of the director besides its rules."""
        self.run_later: Callable[[Iterator[None]], object] = exhaust
        self._director = director
        self._engine = engine
        self._clock = clock
        self._about = about
        self._is_writing = False
        self.internal_errors = 0  # of requests and background tasks
        explainer = Explainer(director, engine, clock)
        self._known: dict[str, Callable[[Message], Message | Steps]] = {
            "apply": self._apply,
            "list": self._list,
            "connections": self._connections,
            "counters": self._counters,
            "explain": self._explained(explainer.explain),
            "packet_table": self._explained(explainer.packet_table),
        }

    def __call__(self, request: Message) -> Message:
        whole: Message = {}
        for part in self.steps(request):
            merge(whole, part or {})
        return whole

    def steps(self, request: Message) -> Steps:
        """None for each step of work, and the parts of the answer."""
        wanted = request.get("do")
        answer = self._known.get(wanted) if isinstance(wanted, str) else None
        if answer is None:
            yield _refused(f"do: expected one of {', '.join(self._known)}, got {wanted!r}.")
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

    def _explained(self, explain: Callable[[Message], Message]) -> Callable[[Message], Message]:
        """Refused where somebody else decides."""

        def refuse(_request: Message) -> Message:
            raise EngineError(f"The engine {self._about['engine']} decides by itself, and does not say why.")

        def look_first(request: Message) -> Message:
            self._engine.sync_schedulers()
            return explain(request)

        return look_first if self._engine.explains else refuse

    # ---- a change of the rules ----

    def _apply(self, request: Message) -> Steps:
        while self._is_writing:  # one at a time: whoever comes second goes by what the first has changed
            yield None
        self._is_writing = True
        try:
            yield from _with_few_collections(self._write(request))
        finally:
            self._is_writing = False

    def _write(self, request: Message) -> Steps:
        transaction = self._director.transaction()
        commands = _Commands(request, transaction, self._director.trace)
        left: Iterator[None] = transaction.discard()
        try:
            yield from commands.write()
            yield from self._activate(transaction)
            left = self._director.finish(transaction, commands.heard, self._clock())
            for _ in left:
                yield None
        finally:
            self.run_later(left)

    def _activate(self, transaction: Transaction) -> Steps:
        """All at once, or not at all. Raises EngineError."""
        is_in_force = False
        try:
            yield from self._engine.prepare_rules(transaction.vips)
            self._engine.sync_schedulers()
            self._director.activate(transaction)
            is_in_force = True
            self._engine.install_rules()
        except BaseException:
            with suppress(Exception):  # it has refused already, and has said why
                if is_in_force:
                    self._director.roll_back(transaction)
                    self._engine.install_rules()  # with the rules as they were, should it be half done
                else:
                    exhaust(self._engine.prepare_rules(self._director.rules.vips()))
            raise

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

    def _connections(self, _request: Message) -> Steps:
        yield {"connections": []}
        yield from _batches({}, "connections", self._engine.connections(self._clock()))

    def _counters(self, _request: Message) -> Message:
        process = {
            "cpu_seconds": time.process_time(),
            "rss_bytes": _resident(),
            "internal_errors": self.internal_errors,
        }
        return {"engine": dict(self._engine.counters()), "process": process}


def _refused(sentence: str) -> Message:
    return {"ok": False, "error": sentence}


def _resident() -> int:
    """Bytes of memory in use (proc(5), statm)."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Refused(Exception):
    """One of many commands can't be carried out: why, and its place among them."""

    def __init__(self, why: str, place: int | None) -> None:
        super().__init__(why)
        self.place = place


class _Commands:
    """Those of a request for a draft; they are kept in `heard` if somebody is to hear of them."""

    def __init__(self, request: Message, transaction: Transaction, trace: Trace) -> None:
        self.heard: deque[Command] = deque()
        self._request = request
        self._transaction = transaction
        self._trace = trace
        self._place: int | None = None  # of the one that is being carried out

    def write(self) -> Steps:
        """Raises _Refused."""
        try:
            yield from self._transaction.write(self._each())
        except (LvsError, ValueError) as error:
            raise _Refused(str(error), self._place) from None

    def _each(self) -> Iterator[Command]:
        for place, message in enumerate(_messages(self._request)):
            self._place = place
            for command in self._read(message):
                if self._trace.enabled:
                    self.heard.append(command)
                yield command
            self._place = None

    def _read(self, message: Any) -> Iterator[Command]:
        """A DeleteServer with `"last": true` takes a service that it empties along.

        In 1999 there were no services without servers, and ippfvsadm knows none.
        """
        deletes = isinstance(message, dict) and message.get("command") == "DeleteServer"
        goes = deletes and message.pop("last", False) is True
        command = decode(message)
        emptied: DeleteService | None = None
        if goes and isinstance(command, DeleteServer) and self._transaction.is_last(command):
            emptied = DeleteService(command.key)
        yield command
        if emptied:
            yield emptied


def _messages(request: Message) -> Iterator[Any]:
    """What is to be a command each, of a request that has come in one line or in many. Raises ValueError."""
    for part in request.get("parts", [request]):
        commands = part.get("commands")
        if not isinstance(commands, list):
            raise ValueError(f"commands: expected a list, got {commands!r}.")
        yield from commands


def _in_parts(services: Iterable[VirtualService]) -> Steps:
    """Services with their servers, those of a large one in parts of their own."""
    few: list[Message] = []
    rows = 0
    for service in services:
        if rows + len(service.servers) >= ROWS_PER_LINE and few:
            yield {"services": few}
            few, rows = [], 0
        about: Message = {**service.about(), "servers": []}
        if len(service.servers) <= ROWS_PER_LINE:
            for server in service.servers:
                about["servers"].append(server.as_dict())
                yield None
            few.append(about)
            rows += 1 + len(service.servers)
        else:
            yield {"services": [about]}
            yield from _batches(
                {"in": ["services", -1]}, "servers", (one.as_dict() for one in service.servers)
            )
    yield {"services": few}


def _batches(about: Message, name: str, rows: Iterable[Message]) -> Steps:
    """Parts of a list; what each is about is in each."""
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
    """While a large change makes objects by the hundred thousand, nobody looks through them all for cycles.

    They have none. What is left of a large change lives on, as what a director begins with.
    """
    before = gc.get_threshold()
    gc.set_threshold(*before[:2], _NEVER)
    taken = 0
    try:
        with closing(steps):
            for taken, part in enumerate(steps, start=1):
                if not taken % _FEW:
                    gc.collect(1)  # it would wait until many more are there, where others go meanwhile
                yield part
    finally:
        if taken >= _MANY:
            gc.collect(1)
            gc.freeze()
        gc.set_threshold(*before)
