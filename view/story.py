"""A run as a sequence of items, from its folder alone: what it has now, and what is added later.

    pcap/*.pcap      packets, matched into walks
    events.jsonl     what the director did and why, and its scheduler's state
    commands.jsonl   which command was run on which host
    view.jsonl       what a live view has polled: tables, links, neighbours, findings
    report.json      the checks' results

Every item has `id` (1, 2, ...), `t` (seconds since the run's start) and `kind`. A replay calls `more` once
and then `end`; a live view calls `more` for as long as the lab runs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from view.captures import Captures, Record
from view.mirror import Mirror, key_of
from view.rule_words import as_typed
from view.walks import Budget, Walks

Item = dict[str, Any]

ADDED = "view.jsonl"
_POLLED = {  # kinds that a live view adds, with the lists of objects in each
    "tables": ("services", "connections"),
    "links": ("ports",),
    "neighbours": ("entries",),
    "finding": (),
}
_MOST_LINE = 4 * 1024 * 1024  # bytes
_CHUNK = 4 * 1024 * 1024
MOST_CONNECTIONS = 500  # in a table that the page gets
CONNECTIONS_RATE = 50.0  # new connections a second whose events are shown, while packets are sampled
_FEW_CONNECTIONS = 10.0  # the same while most packets are skipped: the lab comes first
_EVENTS = 3  # a director's events get this fraction (1/3) of the bytes allowed for captures
_OF_A_CONNECTION = re.compile(  # most lines of a busy director, as it writes them
    rb'\{"kind": "(new|state|expired|evicted)".*?"protocol": "(\w+)".*?"client": "([^"]+)", "vip": "([^"]+)"'
)
_MOST_SHOWN = 20_000  # connections whose later events are shown
_TABLES_EVERY = 0.5  # seconds between two tables that are made from events
_HOLD = 30_000  # microseconds for which a live record waits for older ones in other files
_REFUSALS = ("dropped", "rejected")
_COMMAND_SHOWN = 300  # characters


def strict_json(text: str | bytes) -> Any:
    """Parse JSON that the page can read, without NaN and infinity. Raises ValueError, RecursionError."""
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


class Lines:
    """The objects in a growing file of JSON lines; `skipped` counts the lines that are not objects."""

    def __init__(self, path: Path, parse: Callable[[bytes], Any] = strict_json) -> None:
        self._path = path
        self._parse = parse
        self._position = 0
        self._left = b""
        self.skipped = 0

    def new(self, most: int = 0, wanted: Callable[[bytes], bool] | None = None) -> Iterator[dict[str, Any]]:
        """The objects of new complete lines; after `most` bytes (0: no limit), only `wanted` lines."""
        try:
            with self._path.open("rb") as opened:
                opened.seek(self._position)
                beyond = None
                while chunk := opened.read(most or _CHUNK):
                    self._position += len(chunk)
                    *whole, self._left = (self._left + chunk).split(b"\n")
                    for line in whole:
                        if beyond is None or beyond(line):
                            yield from self._object(line)
                    if len(self._left) > _MOST_LINE:
                        self._left, self.skipped = b"", self.skipped + 1
                    beyond = wanted if most else None
        except OSError:
            return

    def _object(self, line: bytes) -> Iterator[dict[str, Any]]:
        try:
            found = self._parse(line)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            yield found
        elif line.strip():
            self.skipped += 1


@dataclass(slots=True)
class _Director:
    """One director's events; `host` is "" if it is the only director."""

    host: str
    lines: Lines
    mirror: Mirror
    tables_at: float = 0.0
    shown: dict[str, None] = field(default_factory=dict)  # connections whose events are shown
    unread: int = 0  # new connections
    is_lossy: bool = False

    def wants(self, line: bytes) -> bool:
        """Whether to read a line of too many: about a rule, or about a connection that is shown."""
        found = _OF_A_CONNECTION.match(line)
        if found is None or " ".join(part.decode() for part in found.groups()[1:]) in self.shown:
            return True
        self.is_lossy = True
        self.unread += found[1] == b"new"
        return False


class Story:
    """The items of `folder`, whose run document is `run`.

    `rate` limits the packets shown, in packets per second; None shows all. `first` is the first id.
    """

    def __init__(self, folder: Path, run: dict[str, Any], rate: float | None = None, first: int = 1) -> None:
        self._folder = folder
        self._run = run
        self._started = float(run["started"])
        self._captures = Captures(folder / "pcap")
        self._directors: dict[str, _Director] = {}  # by the name of the file of events
        self._commands = Lines(folder / "commands.jsonl")
        self._added = Lines(folder / ADDED)
        self._has_tables = False
        macs = {
            interface["name"]: interface["mac"] or ""
            for host in run["hosts"]
            for interface in host["interfaces"]
        }
        clients = [
            address.partition("/")[0]
            for host in run["hosts"]
            if host["role"] == "client"
            for interface in host["interfaces"]
            for address in interface["addresses"]
        ]
        self._walks = Walks(macs, clients, run["vips"], rate)
        self._connections = Budget(CONNECTIONS_RATE if rate is not None else None)
        self.leaves_most_out = False  # whether most packets of the last read were skipped
        self._unseen = 0  # connections whose events are not shown, since the last "missed" item
        self._pending: list[tuple[float, int, Any]] = []
        self._reported = False
        self._last = self._started
        self._id = first - 1

    def more(self, until: float | None = None, most: int | None = None) -> list[Item]:
        """The items for what has been written since the last call.

        Packets and events later than `until` (seconds since the epoch) wait for the next call, so that none
        is shown before an older one that another file does not have yet. If there are more than `most` bytes
        of captures, a stretch of them is skipped; of the events, those of connections beyond a third of
        `most`.
        """
        found = [*self._pending, *self._read(most)]
        found.sort(key=lambda item: item[:2])
        limit = until - _HOLD / 1e6 if until is not None else None
        ripe = [item for item in found if limit is None or item[0] <= limit]
        self._pending = found[len(ripe) :]
        seen = self._walks.seen
        items = []
        for at, _, what in ripe:
            self._last = at
            for item in self._items(at, what):
                items.append(self._numbered(at, item))
        if ripe:
            left_out, seen = self._walks.left_out, self._walks.seen - seen
            self.leaves_most_out = self._captures.skipped > 0 or left_out > seen / 2
            if self._connections.rate is not None:
                self._connections.rate = _FEW_CONNECTIONS if self.leaves_most_out else CONNECTIONS_RATE
            items += [self._numbered(self._last, item) for item in self._left_out()]
        items += [self._numbered(self._last, item) for item in self._final()]
        return items

    def _left_out(self) -> Iterator[Item]:
        """Items that count what has been skipped since the last such items."""
        if self._captures.skipped:
            share = self._captures.skipped / max(self._captures.taken, 1)
            # assuming as many packets per byte as in what was read
            self._walks.left_out += round(share * self._walks.seen)
            self._captures.skipped = 0
        if self._walks.left_out:
            why = f"more than {self._walks.rate:.0f} packets a second: whole packets were skipped"
            yield {"kind": "missed", "count": self._walks.left_out, "why": why, "what": "packets"}
            self._walks.left_out = 0
        if self._unseen:
            why = "too many new connections a second"
            yield {"kind": "missed", "count": self._unseen, "why": why, "what": "connections"}
            self._unseen = 0

    def end(self) -> list[Item]:
        """The last items of a replay: the final tables, what could not be read, and the end itself."""
        items = []
        for director in self._directors.values():
            if director.tables_at and not self._has_tables:
                items.append(self._tables(director, self._last))
        items += [{"kind": "missed", "count": count, "why": why} for count, why in self._unread()]
        return [self._numbered(self._last, item) for item in [*items, {"kind": "end"}]]

    def _unread(self) -> Iterator[tuple[int, str]]:
        for name in self._captures.damaged:
            yield 0, f"pcap/{name}.pcap is damaged, or not a tcpdump capture"
        for name in self._captures.unfinished:
            yield 1, f"pcap/{name}.pcap ends within a packet"
        of_directors = {name: director.lines for name, director in self._directors.items()}
        of_lines = {**of_directors, "commands.jsonl": self._commands, ADDED: self._added}
        for name, lines in of_lines.items():
            if lines.skipped:
                yield lines.skipped, f"{name} has lines that are not JSON objects"

    def _numbered(self, at: float, item: Item) -> Item:
        self._id += 1
        return {"id": self._id, "t": round(at - self._started, 6), **item}

    # ---- reading ----

    def _read(self, most: int | None) -> Iterator[tuple[float, int, Any]]:
        """(time, rank, object): at the same time, the rank puts events before the packets that they cause."""
        for director in self._all_directors():
            latest = 0.0
            for event in director.lines.new(most // _EVENTS if most else 0, director.wants):
                if _is_time(event.get("time")) and isinstance(event.get("kind"), str):
                    latest = float(event["time"])
                    yield latest, 0, (director, event)
            if director.is_lossy:
                director.is_lossy = False
                yield latest, 1, director
        for entry in self._added.new():
            if isinstance(entry.get("time"), (int, float)) and _is_polled(entry):
                yield float(entry["time"]), 1, entry
        for record in self._captures.new(most):
            yield record.at / 1e6, 2, record
        self._walks.gaps += self._captures.gaps
        self._captures.gaps.clear()
        for entry in self._commands.new():
            if isinstance(entry.get("time"), (int, float)):
                yield float(entry["time"]), 3, {"kind": "command", **entry}

    def _all_directors(self) -> list[_Director]:
        """The directors that have written events: to events.jsonl, or events-NAME.jsonl if there are two."""
        for path in sorted(self._folder.glob("events*.jsonl")):
            if path.name not in self._directors:
                host = path.stem.partition("-")[2]
                mirror = Mirror(self._run["method"], self._run["scheduler"])
                self._directors[path.name] = _Director(host, Lines(path, json.loads), mirror)
        return list(self._directors.values())

    def _items(self, at: float, what: Any) -> Iterator[Item]:
        if isinstance(what, Record):
            item = self._walks.item(what)
            if item is not None:
                yield item
        elif isinstance(what, tuple):
            yield from self._event(at, *what)
        elif isinstance(what, _Director):
            what.mirror.forget()
            self._unseen += what.unread
            what.unread = 0
        elif what["kind"] in _POLLED:
            if what["kind"] == "tables":
                self._has_tables = True  # from here on, none are made from events
                self._adopt(what)
            yield {name: value for name, value in what.items() if name != "time"}
        else:
            yield _command(what)

    def _adopt(self, tables: dict[str, Any]) -> None:
        for director in self._directors.values():
            if director.host == tables.get("host", ""):
                with suppress(KeyError, TypeError):  # a damaged file
                    director.mirror.adopt(tables["services"])

    def _event(self, at: float, director: _Director, event: dict[str, Any]) -> Iterator[Item]:
        of = {"host": director.host} if director.host else {}
        try:
            shown = self._is_shown(director, event)
            scheduled = director.mirror.follow(event, with_picture=shown)
            if event["kind"] == "rules":
                self._walks.vips |= director.mirror.vips
            elif event["kind"] == "new":
                self._walks.learn(*(str(event[name]) for name in ("protocol", "client", "vip", "server")))
            if shown:
                yield {**_event_item(event), **of}
        except (KeyError, ValueError, TypeError, OverflowError):
            director.lines.skipped += 1
            return
        if scheduled and shown:
            yield {**scheduled, **of}
        if not self._has_tables and at - director.tables_at >= _TABLES_EVERY:
            director.tables_at = at
            yield self._tables(director, at)

    def _is_shown(self, director: _Director, event: dict[str, Any]) -> bool:
        """Whether to show an event: of too many new connections, a sample is shown with all its events."""
        if self._connections.rate is None or "client" not in event:
            return True
        key = key_of(event)
        if event["kind"] == "new":
            if not self._connections.takes(round(event["time"] * 1e6), important=False):
                self._unseen += 1
                return False
            director.shown[key] = None
            if len(director.shown) > _MOST_SHOWN:
                del director.shown[next(iter(director.shown))]
        return key in director.shown

    @staticmethod
    def _tables(director: _Director, at: float) -> Item:
        return {
            **director.mirror.tables(at, MOST_CONNECTIONS),
            **({"host": director.host} if director.host else {}),
        }

    def _final(self) -> Iterator[Item]:
        """The report, once it exists."""
        path = self._folder / "report.json"
        if self._reported or not path.exists():
            return
        try:
            checks = strict_json(path.read_text(errors="replace"))["checks"]
            shown = [
                {
                    "name": str(check["name"]),
                    "ok": bool(check["ok"]),
                    "expected": str(check["expected"]),
                    "found": str(check["observed"]),
                }
                for check in checks
            ]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return
        self._reported = True
        yield {"kind": "report", "checks": shown}


def _is_polled(entry: dict[str, Any]) -> bool:
    """Whether a line of view.jsonl has the form that a live view writes."""
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in _POLLED:
        return False
    lists = [entry.get(name) for name in _POLLED[kind]]
    return all(isinstance(table, list) and all(isinstance(row, dict) for row in table) for table in lists)


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and math.isfinite(value)
    except OverflowError:  # an integer too large for a float
        return False


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _is_master(kind: str, event: dict[str, Any]) -> dict[str, bool]:
    """Whether the director owns the VIP, from an event of VRRP or heartbeat; empty for other events."""
    if kind == "vrrp":
        return {"master": event.get("state") == "MASTER"}
    return {"master": bool(event.get("held"))} if kind == "heartbeat" else {}


def _event_item(event: dict[str, Any]) -> Item:
    """An event of the director as an item, in its own words."""
    kind = event["kind"]
    has_connection = all(name in event for name in ("protocol", "client", "vip", "server"))
    return {
        "kind": "event",
        "event": kind,
        "text": _in_words(kind, event),
        "connection": key_of(event) if has_connection else None,
        **{name: _text(event.get(name)) for name in ("server", "why", "state")},
        **_is_master(kind, event),
    }


def _in_words(kind: str, event: dict[str, Any]) -> str:
    """One line, in lvs-explain's words."""
    ends = f"{event.get('client')} > {event.get('vip')} > {event.get('server')}"
    if kind == "rules":
        return as_typed(str(event.get("command")))
    if kind == "refused":
        return f"{as_typed(str(event.get('command')))}: refused"
    if kind == "state":
        return f"{ends}: {event.get('before')} becomes {event.get('state')}"
    if kind == "new":
        return f"{ends}: new connection"
    if kind in ("expired", "evicted"):
        return f"{ends}: the connection ends ({kind})"
    if kind in _REFUSALS and "source" in event:
        return f"{event['source']} > {event.get('destination')}"
    if kind == "shed":
        counts = f"{event.get('syns')} SYNs, {event.get('strangers')} others"
        return f"{event.get('interface')}: too many packets, dropped without a look: {counts}"
    if kind == "failed":
        return "a packet is lost: the trace is in events.jsonl"
    if kind == "lost":
        return f"{event.get('count')} events were not written"
    rest = (f"{name} {value}" for name, value in event.items() if name not in ("kind", "time", "why"))
    return ", ".join(rest)  # the page shows kind and reason beside it


def _command(entry: dict[str, Any]) -> Item:
    words = entry.get("command")
    line = " ".join(map(str, words)) if isinstance(words, list) else str(words)
    return {
        "kind": "event",
        "event": "command",
        "text": f"{entry.get('host')}: {line[:_COMMAND_SHOWN]} (exit {entry.get('exit')})",
        "connection": None,
        "server": None,
        "why": None,
        "state": None,
    }
