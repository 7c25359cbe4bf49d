"""What a running director answers over its control socket.

    {"do": "apply", "commands": [...]}   change the rules, all at once or not at all
    {"do": "list"}                       the rules, with the counters of every real server; with
                                         "at_once", those that may be two seconds late
    {"do": "connections"}                the connection table, templates included
    {"do": "explain", ...}               what would become of a packet, and why: explanation.py
    {"do": "journey", ...}               the packet table of a connection: the same
    {"do": "counters"}                   what the engine and the process have counted

An answer has "ok": true and what was asked for, or "ok": false and "error", one sentence; where one of many
commands was refused, "place" says which (the first is 0).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from director.control.codec import CodecError, decode
from director.control.explanation import Explainer
from director.core.commands import Command, DeleteServer, DeleteService
from director.core.errors import LvsError
from director.engines.engine import Engine, EngineError

if TYPE_CHECKING:
    from director.control.channel import Message
    from director.core.director import Director


class Answers:
    """Called with a request, returns its answer; never raises, whatever the request is."""

    def __init__(
        self, director: Director, engine: Engine, clock: Callable[[], float], about: Message
    ) -> None:
        """`about` is what "list" tells of the director besides its rules."""
        self._director = director
        self._engine = engine
        self._clock = clock
        self._about = about
        explainer = Explainer(director, engine, clock)
        self._known: dict[str, Callable[[Message], Message]] = {
            "apply": self._apply,
            "list": self._list,
            "connections": self._connections,
            "counters": self._counters,
            "explain": self._explained(explainer.explain),
            "journey": self._explained(explainer.journey),
        }

    def __call__(self, request: Message) -> Message:
        wanted = request.get("do")
        answer = self._known.get(wanted) if isinstance(wanted, str) else None
        if answer is None:
            return _refused(f"do: expected one of {', '.join(self._known)}, got {wanted!r}.")
        try:
            return {"ok": True, **answer(request)}
        except (CodecError, EngineError, LvsError) as error:
            return _refused(str(error))

    def _explained(self, explain: Callable[[Message], Message]) -> Callable[[Message], Message]:
        """Refused where somebody else decides."""

        def refuse(_request: Message) -> Message:
            raise EngineError(f"The engine {self._about['engine']} decides by itself, and does not say why.")

        def look_first(request: Message) -> Message:
            self._engine.prepare()
            return explain(request)

        return look_first if self._engine.explains else refuse

    def _apply(self, request: Message) -> Message:
        commands = request.get("commands")
        if not isinstance(commands, list):
            raise CodecError(f"commands: expected a list, got {commands!r}.")
        self._engine.prepare()
        wanted = list(self._read(commands))
        try:
            change = self._director.prepare(wanted, self._clock())
        except LvsError as error:
            places = (place for place, one in enumerate(wanted) if one is error.command)
            return {**_refused(str(error)), "place": next(places, None)}
        try:
            self._engine.rules_changed()
        except Exception:
            change.roll_back()
            with suppress(Exception):  # it has refused already, and has said why
                self._engine.rules_changed()  # with the rules as they were, should it be half done
            raise
        change.commit()
        return {}

    def _read(self, messages: list[Any]) -> Iterator[Command]:
        """The commands; a DeleteServer with `"last": true` takes a service that it empties along.

        In 1999 there were no services without servers, and ippfvsadm knows none.
        """
        for message in messages:
            deletes = isinstance(message, dict) and message.get("command") == "DeleteServer"
            goes = deletes and message.pop("last", False) is True
            command = decode(message)
            yield command
            if goes and isinstance(command, DeleteServer) and self._is_last(command):
                yield DeleteService(command.key)

    def _is_last(self, command: DeleteServer) -> bool:
        for service in self._director.services:
            if service.key == command.key:
                return [server.address for server in service.servers] == [command.server]
        return False

    def _list(self, request: Message) -> Message:
        self._engine.catch_up(exactly=not request.get("at_once"))
        rules = self._director.services
        timeouts = rules.timeouts
        return {
            **self._about,
            "conn_tab_size": self._director.connections.buckets,
            "timeouts": {"tcp": timeouts.established, "tcpfin": timeouts.fin_wait, "udp": timeouts.udp},
            "sysctls": rules.sysctls.as_dict(),
            "marks": [mark.as_dict() for mark in rules.marks],
            "services": [service.as_dict() for service in rules],
        }

    def _connections(self, _request: Message) -> Message:
        return {"connections": self._engine.connections(self._clock())}

    def _counters(self, _request: Message) -> Message:
        process = {"cpu_seconds": time.process_time(), "rss_bytes": _resident()}
        return {"engine": dict(self._engine.counters()), "process": process}


def _refused(sentence: str) -> Message:
    return {"ok": False, "error": sentence}


def _resident() -> int:
    """Bytes of memory in use (proc(5), statm)."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
