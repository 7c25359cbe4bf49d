"""ipvsadm: today's administration tool in its own syntax, for a running director.

Lines, listings and exit codes are those of ipvsadm 1.31, recorded with a real kernel. A refusal begins with
the words of the original; sentences about wrong lines are this project's. Intended differences are listed in
docs/differences.md. Exit codes: 0 done, 1 no director or no such service to list, 2 a wrong line, 255 an
unknown option, or refused by the director.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from director.control import cli
from director.control.cli import Fields
from director.ipvsadm import arguments, listing, requests, save_format
from director.ipvsadm.arguments import Line

CONNECTIONS = "c"
NO_SUCH_SERVICE = 1


def main(words: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code."""
    return cli.run(arguments.PROGRAM, _work, words)


def _work(words: Sequence[str]) -> str | Iterable[str]:
    """The output of one command line. Raises ToolError."""
    line = arguments.parse(words)
    answers: dict[str, Callable[[Line], str | Iterable[str]]] = {
        "h": lambda _: arguments.USAGE,
        "version": lambda _: arguments.VERSION,
        "L": _list,
        "S": _save,
        "R": _restore,
        "start-daemon": _ask,
        "stop-daemon": _ask,
    }
    return answers.get(line.command, _change)(line)


def _change(line: Line) -> str:
    cli.apply(requests.commands(line))
    return ""


def _ask(line: Line) -> str:
    cli.query(requests.daemon(line))
    return ""


def _save(line: Line) -> str:
    return save_format.text(cli.query({"do": "list"})["services"], numeric="n" in line.options)


def _restore(line: Line) -> Iterable[str]:
    carry_out = save_format.line_by_line if "line-by-line" in line.options else save_format.all_or_none
    return carry_out(cli.read_rules(sys.stdin.buffer), _show)


def _show(line: Line) -> Iterator[str]:
    shown = _list(line) if line.command == "L" else _save(line)
    yield from (shown,) if isinstance(shown, str) else shown


def _list(line: Line) -> str | Iterable[str]:
    if "daemon" in line.options:
        return listing.daemons(cli.query({"do": "daemons"})["daemons"])
    if CONNECTIONS in line.options:
        parts = cli.stream_reply({"do": "connections"})
        return listing.connections(_rows(next(parts), parts), line.options)
    if "timeout" in line.options:
        return listing.timeouts(cli.director_info()["timeouts"])
    answer = cli.query({"do": "list"})
    if line.service is None:
        return listing.title(answer["conn_tab_size"]) + listing.rules(answer["services"], line.options)
    return listing.rules(_only(requests.identity(line), answer["services"]), line.options)


def _rows(first: Fields, parts: Iterable[Fields]) -> Iterator[Fields]:
    for part in chain((first,), parts):
        yield from part.get("connections", ())


def _only(wanted: Fields, services: Sequence[Fields]) -> list[Fields]:
    """The service that a line names. Raises ToolError."""
    for service in services:
        if wanted.items() <= service.items():
            return [service]
    raise cli.ToolError("No such service; ipvsadm -Ln lists them all.", NO_SUCH_SERVICE)
