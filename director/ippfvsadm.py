"""ippfvsadm: the administration tool of 1999, in its own syntax, for a running director.

A set-up script starts it once per rule, so it imports as little as possible and writes commands as plain
JSON objects (see formats/command_json.py).
Exit codes: 0 done, 1 no director, 2 a wrong line, 255 refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from director.control.cli import (
    NO_VALUE,
    PROTOCOLS,
    VALUE,
    Fields,
    ToolError,
    UsageError,
    apply,
    at_line,
    getopt,
    numbered_lines,
    parse_ipv4,
    parse_ipv6,
    query,
    read_rules,
    run,
)
from director.formats import parse_number

PROGRAM = "ippfvsadm"
PORTS = range(1, 61000)  # ports from 61000 were reserved for masquerading
MAX_WEIGHT = 65535
USAGE = f"""\
{PROGRAM} -A -[t|u] l.l.l.l:lport -R a.a.a.a:rport [-w weight]   add a real server
{PROGRAM} -D -[t|u] l.l.l.l:lport -R a.a.a.a:rport               delete a real server
{PROGRAM} -C                                                     clear the table
{PROGRAM} -L                                                     list the table
{PROGRAM} -f                                                     apply all lines on standard input, or none
{PROGRAM} -h                                                     this help

l.l.l.l:lport is the virtual server, a.a.a.a:rport a real server; its weight is its capacity
relative to the others (default: 1).
An IPv6 address, which 1999's did not know, is in brackets: [2001:db8::1]:80.
"""
_EXAMPLES = {"virtual server": "203.0.113.1:80", "destination": "172.16.0.2:80"}
_EXAMPLES6 = {"virtual server": "[2001:db8::80]:80", "destination": "[fd00::2]:80"}
_HEADINGS = ("Protocol", "Virtual IP Address", "Port", "Real IP Address", "Port", "Weight")
_COMMANDS = "ADCL"
_KINDS = {**dict.fromkeys("tuRw", VALUE), **dict.fromkeys(_COMMANDS + "h", NO_VALUE)}


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code."""
    return run(PROGRAM, _work, arguments)


def _work(arguments: Sequence[str]) -> str:
    """The output of one command line. Raises ToolError."""
    if list(arguments) == ["-f"]:
        text = read_rules(sys.stdin.buffer)
        apply([command for line in numbered_lines(text, PROGRAM) for command in _changes(*line)])
        return ""
    if arguments and arguments[0] == "-f":
        raise UsageError(f"-f takes no other options and reads standard input: {PROGRAM} -f < FILE.")
    options = _options(arguments)
    if "h" in options:
        return USAGE
    request = _request(options)
    answer = query(request)
    return table(answer.get("services", [])) if request["do"] == "list" else ""


def _changes(number: int, words: Sequence[str]) -> list[Fields]:
    """The commands of one of many lines. Raises ToolError with the line's number."""
    try:
        request = _request(_options(words))
        if request["do"] != "apply":
            raise UsageError("-L lists rules and does not change any.")
    except ToolError as failure:
        raise at_line(number, failure) from None
    commands: list[Fields] = request["commands"]
    return commands


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Letters and their values."""
    given, rest = getopt(PROGRAM, arguments, _KINDS)
    if rest:
        raise UsageError(f"{rest[0]!r} is unexpected at the end of the line.")
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
        raise UsageError(f"incompatible options: -{command} takes no others.")
    if command == "D" and "w" in options:
        raise UsageError("incompatible options: -D takes no weight.")
    if command == "L":
        return {"do": "list"}
    commands = [{"command": "Clear"}] if command == "C" else _rule(command, options)
    return {"do": "apply", "commands": commands}


def _rule(command: str, options: dict[str, str]) -> list[Fields]:
    """The commands of -A and -D: about a service and one of its real servers."""
    letter = next((letter for letter in PROTOCOLS if letter in options), None)
    if letter is None:
        raise UsageError(f"not enough options: -{command} needs -t or -u.")
    key = {"protocol": PROTOCOLS[letter], "address": _endpoint("virtual server", options[letter])}
    if command == "D" and "R" not in options:
        return [{"command": "DeleteService", "key": key}]
    if "R" not in options:
        raise UsageError("not enough options: -A needs -R.")
    server = _endpoint("destination", options["R"])
    if command == "D":  # the last server takes the service with it
        return [{"command": "DeleteServer", "key": key, "server": server, "last": True}]
    weight = _weight(options.get("w", "1"))
    return [
        {"command": "AddService", "key": key, "exist_ok": True},
        {"command": "AddServer", "key": key, "server": server, "weight": weight},
    ]


def _endpoint(what: str, text: str) -> str:
    """`a.b.c.d:port` or `[a:b::c]:port`, in numbers."""
    if "%" in text:
        raise UsageError(f"bad {what} {text!r}: expected an address without a zone, which no rule can have.")
    host, colon, port = text.rpartition(":")
    in_brackets = host[:1] == "[" and host[-1:] == "]"
    address = parse_ipv6(host[1:-1]) if in_brackets else parse_ipv4(host)
    if address is None or not colon:
        example = (_EXAMPLES6 if text.count(":") > 2 else _EXAMPLES)[what]
        raise UsageError(f"bad {what} {text!r}: expected an address and a port, such as {example}.")
    if parse_number(port) not in PORTS:
        raise UsageError(f"bad {what} {text!r}: expected a port from {PORTS[0]} to {PORTS[-1]}.")
    return f"[{address}]:{int(port)}" if in_brackets else f"{address}:{int(port)}"


def _weight(text: str) -> int:
    """A weight of 0 becomes 1, as in 1999."""
    weight = parse_number(text)
    if not 0 <= weight <= MAX_WEIGHT:
        raise UsageError(f"bad weight {text!r}: expected a number from 1 to {MAX_WEIGHT}.")
    return weight or 1


def table(services: Sequence[Fields]) -> str:
    """The rules as the paper prints them: one real server per line, its service on the first only."""
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
