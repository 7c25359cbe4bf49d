"""Rules as lines of ipvsadm: -S writes them, -R reads them (and restore.py carries them out).

The kernel's ipvsadm understands what is written here, and the other way round. It does not save
thresholds; they are saved here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from director.control.cli import Fields, ToolError, UsageError, at_line, numbered_lines
from director.ipvsadm import names, requests
from director.ipvsadm.arguments import PROGRAM, Line, parse
from director.ipvsadm.listing import sorted_services

_SHOWING = ("L", "S")  # commands
_FORWARDING = {"Masq": "-m", "Tunnel": "-i", "Route": "-g"}


def text(services: Sequence[Fields], *, numeric: bool) -> str:
    """The lines that make these services again, in the order of the listing."""
    lines: list[str] = []
    for service in sorted_services(services):
        key = key_of(service, numeric=numeric)
        lines.append(" ".join(["-A", key, *policy_of(service)]))
        for server in service["servers"]:
            where = names.endpoint(server["address"], server["port"], service["protocol"], numeric=numeric)
            lines.append(" ".join(["-a", key, "-r", where, *settings_of(server)]))
    return "".join(f"{line}\n" for line in lines)


def key_of(service: Fields, *, numeric: bool = True) -> str:
    """The words that name a service."""
    if service["mark"]:
        return f"-f {service['mark']}"
    protocol = service["protocol"]
    where = names.endpoint(service["address"], service["port"], protocol, numeric=numeric)
    return f"-{protocol[0].lower()} {where}"


def policy_of(service: Fields) -> Iterator[str]:
    """The words behind -A: how it deals with its clients."""
    yield f"-s {service['scheduler']}"
    if service["persistent"]:
        yield f"-p {service['persistent']}"
        if service["netmask"] != requests.ONE_CLIENT:
            yield f"-M {service['netmask']}"
    if service["one_packet"]:
        yield "-o"
    if service["flags"]:
        yield f"-b {','.join(service['flags'])}"


def settings_of(server: Fields) -> Iterator[str]:
    """The words behind -a and the server."""
    forwarding = _FORWARDING[server["method"]]
    yield f"{forwarding} -w {server['weight']}"
    if forwarding == "-i":
        yield "--tun-type ipip"
    for option, threshold in (("-x", server["upper"]), ("-y", server["lower"])):
        if threshold:
            yield f"{option} {threshold}"


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
