"""fwmark: which packets carry a firewall mark, in the style of iptables' mangle table.

A virtual service of a mark (ipvsadm -A -f 1) gets all packets that carry the mark. In the kernel, netfilter
sets marks before IPVS sees a packet. The director's packet sockets see packets before netfilter does, so the
director sets marks itself, by the rules that this tool adds.
Exit codes: 0 done, 1 no director, 2 a wrong line, 255 refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from director.control.cli import (
    MAX_MARK,
    MAX_PORT,
    NO_VALUE,
    VALUE,
    Fields,
    UsageError,
    apply,
    director_info,
    getopt,
    parse_ipv4,
    parse_ipv6,
    run,
)
from director.formats import parse_number
from director.formats.ipvsadm_words import mark_options

PROGRAM = "fwmark"
PROTOCOLS = {"tcp": 6, "udp": 17, "all": 0}
USAGE = f"""\
{PROGRAM} -A [-p tcp|udp|all] -d ADDRESS[/BITS] [--dport PORT[:PORT]] --set-mark MARK   add a rule
{PROGRAM} -D ... the same ...                                                          delete it
{PROGRAM} -F                                                                           delete all
{PROGRAM} -L                                                           list them as lines with -A
{PROGRAM} -h                                                                            this help

Packets of this protocol to this address and these ports belong to the virtual service
ipvsadm -A -f MARK; for an IPv6 address, -A -f MARK -6. Replies need no rule.
"""
_COMMANDS = {"A": "AddMark", "D": "DeleteMark", "F": "ClearMarks", "L": "", "h": ""}
_KINDS = {**dict.fromkeys(_COMMANDS, NO_VALUE), **dict.fromkeys(("p", "d", "dport", "set-mark"), VALUE)}
_NAMES = {"dport": "dport", "set-mark": "set-mark"}


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code."""
    return run(PROGRAM, _work, arguments)


def _work(arguments: Sequence[str]) -> str:
    """The output of one command line. Raises ToolError."""
    command, options = _options(arguments)
    if command == "h":
        return USAGE
    if command == "L":
        return "".join(f"-A {mark_options(mark)}\n" for mark in director_info()["marks"])
    apply([{"command": _COMMANDS[command], **(_rule(options) if command in "AD" else {})}])
    return ""


def _options(arguments: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The command and the other options, each once."""
    given, rest = getopt(PROGRAM, arguments, _KINDS, _NAMES)
    if rest:
        raise UsageError(f"{rest[0]!r} is unexpected at the end of the line.")
    options = {key: value or "" for key, value in given}
    if len(options) < len(given):
        raise UsageError("an option was given twice.")
    commands = [key for key in options if key in _COMMANDS]
    if len(commands) != 1:
        raise UsageError(f"one of -A, -D, -F, -L is needed; {PROGRAM} -h explains them.")
    if commands[0] in "FL" and len(options) > 1:
        raise UsageError(f"-{commands[0]} takes no other options.")
    return commands[0], options


def _rule(options: dict[str, str]) -> Fields:
    """The rule that -A and -D describe. Raises UsageError."""
    if "d" not in options or "set-mark" not in options:
        raise UsageError("-A and -D need -d and --set-mark.")
    protocol = options.get("p", "all").lower()
    if protocol not in PROTOCOLS:
        raise UsageError(f"bad protocol {options['p']!r}: expected one of {', '.join(PROTOCOLS)}.")
    if "dport" in options and not PROTOCOLS[protocol]:
        raise UsageError("--dport needs -p tcp or -p udp.")
    first, last = _ports(options.get("dport", f"0:{MAX_PORT}"))
    mark = parse_number(options["set-mark"])
    if not 1 <= mark <= MAX_MARK:
        raise UsageError(f"bad mark {options['set-mark']!r}: expected a number from 1 to {MAX_MARK}.")
    network = _network(options["d"])
    return {"mark": mark, "network": network, "protocol": PROTOCOLS[protocol], "first": first, "last": last}


def _network(text: str) -> str:
    name, slash, bits = text.partition("/")
    address, length = (parse_ipv6(name), 128) if ":" in name else (parse_ipv4(name), 32)
    if address is None or (slash and not 0 <= parse_number(bits) <= length):
        example = "2001:db8::80 or 2001:db8::/64" if ":" in name else "203.0.113.1 or 203.0.113.0/24"
        raise UsageError(f"bad destination {text!r}: expected an address or a network, such as {example}.")
    return f"{address}/{int(bits)}" if slash else address


def _ports(text: str) -> tuple[int, int]:
    """`80` or `80:90`."""
    low, colon, high = text.partition(":")
    first, last = parse_number(low), parse_number(high if colon else low)
    if not 0 <= first <= last <= MAX_PORT:
        raise UsageError(f"bad ports {text!r}: expected 80 or 80:90, from 0 to {MAX_PORT}.")
    return first, last


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
