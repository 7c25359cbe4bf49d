"""Rules as lines of ipvsadm: -S writes them, and -R reads them and carries them out.

    all or none     all lines are parsed before any takes effect, and make one request
    line by line    as ipvsadm 1.31: a refused line is reported, and the next one is carried out; a wrong
                    line ends it; the exit code is that of the last line

The kernel's ipvsadm and this one read each other's files. The kernel's does not save thresholds; this one
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from director.control import cli
from director.control.cli import (
    REFUSED,
    Fields,
    ToolError,
    UnsupportedOption,
    UsageError,
    at_line,
    numbered_lines,
)
from director.formats.ipvsadm_words import policy_options, server_options, service_option
from director.ipvsadm import names, requests
from director.ipvsadm.arguments import PROGRAM, Line, parse
from director.ipvsadm.listing import sorted_services

_LISTING = ("L", "S")  # commands

Lister = Callable[[Line], Iterable[str]]  # the output of a line that lists or saves


def text(services: Sequence[Fields], *, numeric: bool) -> str:
    """The lines that create these services, in the order of the listing."""
    lines: list[str] = []
    for service in sorted_services(services):
        protocol = service["protocol"]
        option = service_option(service, _endpoint(service, protocol, numeric=numeric))
        lines.append(" ".join(["-A", option, *policy_options(service)]))
        for server in service["servers"]:
            endpoint = _endpoint(server, protocol, numeric=numeric)
            lines.append(" ".join(["-a", option, "-r", endpoint, *server_options(server)]))
    return "".join(f"{line}\n" for line in lines)


def _endpoint(node: Fields, protocol: str, *, numeric: bool) -> str:
    return names.endpoint(node["address"], node["port"], protocol, numeric=numeric)


class NumberedLine(NamedTuple):
    """A line with its number; one that lists or saves has no commands."""

    number: int
    line: Line
    commands: list[Fields]


def read(text: str) -> list[Fields]:
    """The commands of lines that all change something. Raises ToolError with the number of a wrong line."""
    lines = [parse_numbered(number, words) for number, words in numbered_lines(text, PROGRAM)]
    for listing in (line for line in lines if not line.commands):
        raise at_line(
            listing.number, UsageError(f"-{listing.line.command} lists rules and does not create any.")
        )
    return commands_of(lines)


def parse_numbered(number: int, words: Sequence[str]) -> NumberedLine:
    """Raises ToolError with the line's number."""
    try:
        line = parse(words)
        return NumberedLine(number, line, [] if line.command in _LISTING else requests.commands(line))
    except ToolError as error:
        raise at_line(number, error) from None


def commands_of(lines: Iterable[NumberedLine]) -> list[Fields]:
    return [command for line in lines for command in line.commands]


def all_or_none(text: str, list_rules: Lister) -> Iterable[str]:
    """The output of the lines, once all have taken effect. Raises ToolError with nothing changed."""
    lines = [parse_numbered(number, words) for number, words in numbered_lines(text, PROGRAM)]
    changing = [line for line in lines if line.commands]
    try:
        cli.apply(commands_of(changing))
    except ToolError as refusal:
        if refusal.place is None:
            raise
        raise at_line(changing[refusal.place].number, refusal) from None
    return chain.from_iterable(list_rules(line.line) for line in lines if not line.commands)


def line_by_line(text: str, list_rules: Lister) -> str:
    """Prints its output and returns none. Raises ToolError, with an empty sentence for what is printed."""
    pending: list[NumberedLine] = []
    code = 0
    for number, words in numbered_lines(text, PROGRAM):
        try:
            line = parse_numbered(number, words)
        except ToolError as error:
            _apply(pending)
            if not isinstance(error, UnsupportedOption):
                raise
            cli.print_error(PROGRAM, error)
            pending, code = [], error.code
            continue
        if line.commands:
            pending.append(line)
        else:
            _apply(pending)
            pending, code = [], 0
            cli.print_output(list_rules(line.line))
    if pending:
        code = _apply(pending)
    if code:
        raise ToolError("", code)
    return ""


def _apply(lines: Sequence[NumberedLine]) -> int:
    """Apply each line that is not refused; returns the exit code of the last.

    All lines are first tried as one request, which is the same as one after the other; a refused request is
    halved.
    """
    if not lines:
        return 0
    try:
        cli.apply(commands_of(lines))
    except ToolError as refusal:
        if refusal.code != REFUSED:
            raise
        if len(lines) == 1:
            cli.print_error(PROGRAM, at_line(lines[0].number, refusal))
            return refusal.code
        middle = len(lines) // 2
        _apply(lines[:middle])
        return _apply(lines[middle:])
    return 0
