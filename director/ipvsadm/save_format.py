"""Rules as lines of ipvsadm: -S writes them, -R reads them (and restore.py carries them out).

The kernel's ipvsadm understands what is written here, and the other way round. It does not save
thresholds; they are saved here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from director.control.cli import Fields, ToolError, UsageError, at_line, numbered_lines
from director.formats.ipvsadm_words import policy_options, server_options, service_option
from director.ipvsadm import names, requests
from director.ipvsadm.arguments import PROGRAM, Line, parse
from director.ipvsadm.listing import sorted_services

_SHOWING = ("L", "S")  # commands


def text(services: Sequence[Fields], *, numeric: bool) -> str:
    """The lines that make these services again, in the order of the listing."""
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


class Numbered(NamedTuple):
    """A line with its number; `commands` are empty where it shows something."""

    number: int
    line: Line
    commands: list[Fields]


def read(text: str) -> list[Fields]:
    """The commands of many lines that change something. Raises ToolError, which says which line does not."""
    lines = [understood(number, words) for number, words in numbered_lines(text, PROGRAM)]
    for shows in (line for line in lines if not line.commands):
        raise at_line(shows.number, UsageError(f"-{shows.line.command} lists rules, and makes none."))
    return commands_of(lines)


def understood(number: int, words: Sequence[str]) -> Numbered:
    """Raises ToolError, which says which line."""
    try:
        line = parse(words)
        return Numbered(number, line, [] if line.command in _SHOWING else requests.commands(line))
    except ToolError as failure:
        raise at_line(number, failure) from None


def commands_of(lines: Iterable[Numbered]) -> list[Fields]:
    return [command for line in lines for command in line.commands]
