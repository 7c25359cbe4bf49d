"""ippfvsadm: the administration tool of 1999, in its own syntax, for a running director.

It starts once per rule of a set-up script, so it imports as little as it can and writes the
commands as plain JSON objects (formats/command_json.py says what they mean).
Exit codes: 0 done, 1 no director to talk to, 2 a line that can't be understood, 255 refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from director.control.cli import (
    NO_VALUE,
    VALUE,
    Fields,
    ToolError,
    UsageError,
    apply,
    at_line,
    getopt,
    numbered_lines,
    parse_ipv4,
    parse_number,
    query,
    run,
)

PROGRAM = "ippfvsadm"
PROTOCOLS = {"t": "TCP", "u": "UDP"}
PORTS = range(1, 61000)  # the ports from 61000 on belonged to masquerading
MOST_WEIGHT = 65535
USAGE = f"""\
{PROGRAM} -A -[t|u] l.l.l.l:lport -R a.a.a.a:rport [-w weight]   add a real server
{PROGRAM} -D -[t|u] l.l.l.l:lport -R a.a.a.a:rport               delete a real server
{PROGRAM} -C                                                     clear the table
{PROGRAM} -L                                                     list the table
{PROGRAM} -f                                                     do all or none of the lines on standard input
{PROGRAM} -h                                                     this help

l.l.l.l:lport is the virtual server, a.a.a.a:rport a real server; the weight is its capacity
compared with the others', 1 if it is not given.
"""
_HEADINGS = ("Protocol", "Virtual IP Address", "Port", "Real IP Address", "Port", "Weight")
_COMMANDS = "ADCL"
_KINDS = {**dict.fromkeys("tuRw", VALUE), **dict.fromkeys(_COMMANDS + "h", NO_VALUE)}


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code."""
    return run(PROGRAM, _work, arguments)


def _work(arguments: Sequence[str]) -> str:
    """What one command line prints. Raises ToolError."""
    if list(arguments) == ["-f"]:
        apply([command for line in numbered_lines(sys.stdin.read(), PROGRAM) for command in _changes(*line)])
        return ""
    if arguments and arguments[0] == "-f":
        raise UsageError(f"-f stands alone and reads standard input: {PROGRAM} -f < FILE.")
    options = _options(arguments)
    if "h" in options:
        return USAGE
    request = _request(options)
    answer = query(request)
    return table(answer.get("services", [])) if request["do"] == "list" else ""


def _changes(number: int, words: Sequence[str]) -> list[Fields]:
    """What one of many lines asks for. Raises ToolError, which says which line."""
    try:
        request = _request(_options(words))
        if request["do"] != "apply":
            raise UsageError("incompatible options: -L stands alone.")
    except ToolError as failure:
        raise at_line(number, failure) from None
    commands: list[Fields] = request["commands"]
    return commands


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Letters and their values."""
    given, rest = getopt(PROGRAM, arguments, _KINDS)
    if rest:
        raise UsageError(f"{rest[0]!r} is left over at the end of the line.")
    options: dict[str, str] = {}
    for letter, value in given:
        _put(options, letter, value or "")
    return options


def _put(options: dict[str, str], letter: str, value: str) -> None:
    for group, what in ((_COMMANDS, "command"), ("tu", "protocol"), ("R", "destination"), ("w", "weight")):
        if letter in group and any(other in options for other in group):
            raise UsageError(f"more than one {what} was given.")
    options[letter] = value


def _request(options: dict[str, str]) -> Fields:
    """The request for the director. Raises UsageError."""
    command = next((letter for letter in _COMMANDS if letter in options), None)
    if command is None:
        raise UsageError(f"not enough options: one of -A, -D, -C, -L is needed; {PROGRAM} -h explains them.")
    if command in "CL" and len(options) > 1:
        raise UsageError(f"incompatible options: -{command} stands alone.")
    if command == "D" and "w" in options:
        raise UsageError("incompatible options: -D takes no weight.")
    if command == "L":
        return {"do": "list"}
    commands = [{"command": "Clear"}] if command == "C" else _rule(command, options)
    return {"do": "apply", "commands": commands}


def _rule(command: str, options: dict[str, str]) -> list[Fields]:
    """What -A and -D ask for: a service and one of its real servers."""
    letter = next((letter for letter in PROTOCOLS if letter in options), None)
    if letter is None:
        raise UsageError(f"not enough options: -{command} needs -t or -u.")
    key = {"protocol": PROTOCOLS[letter], "address": _endpoint("virtual server", options[letter])}
    if command == "D" and "R" not in options:
        return [{"command": "DeleteService", "key": key}]
    if "R" not in options:
        raise UsageError("not enough options: -A needs -R.")
    server = _endpoint("destination", options["R"])
    if command == "D":  # with its last server the service is gone, too
        return [{"command": "DeleteServer", "key": key, "server": server, "last": True}]
    weight = _weight(options.get("w", "1"))
    return [
        {"command": "AddService", "key": key, "exist_ok": True},
        {"command": "AddServer", "key": key, "server": server, "weight": weight},
    ]


def _endpoint(what: str, text: str) -> str:
    """`a.b.c.d:port`, both of them, no names."""
    host, _, port = text.partition(":")
    address = parse_ipv4(host)
    if address is None:
        raise UsageError(f"bad {what} {text!r}: expected an address such as 203.0.113.1:80.")
    if parse_number(port) not in PORTS:
        raise UsageError(f"bad {what} {text!r}: expected a port from {PORTS[0]} to {PORTS[-1]}.")
    return f"{address}:{int(port)}"


def _weight(text: str) -> int:
    """A weight of 0 becomes 1, as it always did."""
    weight = parse_number(text)
    if not 0 <= weight <= MOST_WEIGHT:
        raise UsageError(f"bad weight {text!r}: expected a number from 1 to {MOST_WEIGHT}.")
    return weight or 1


def table(services: Sequence[Fields]) -> str:
    """The rules as the paper prints them: a real server a line, its service on the first only."""
    rows = [_HEADINGS]
    for service in services:
        virtual = (str(service["protocol"]), str(service["address"]), str(service["port"]))
        for server in reversed(service["servers"]):  # the director has the newest first
            rows.append((*virtual, str(server["address"]), str(server["port"]), str(server["weight"])))
            virtual = ("", "", "")
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
