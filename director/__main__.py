"""Run a director: lvs-director --method nat [--scheduler wrr] [--engine scapy] [IFACE ...]

It forwards as soon as its control socket exists, until SIGTERM or SIGINT. Its rules come from ipvsadm,
ippfvsadm or a file (--rules FILE), which SIGHUP or `lvs-director --reload --rules FILE` loads again.
Exit codes: 0 stopped or reloaded; 2, with one sentence, if an option is wrong or the machine lacks
something.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

from director import engines, rules_file
from director.control import SOCKET, SOCKET_VARIABLE
from director.control.channel import ChannelError, call
from director.control.cli import no_answer
from director.core import schedulers
from director.core.errors import BadValue, LvsError
from director.core.overload import DEFAULT_LIMIT
from director.core.real_server import Method
from director.core.states import Timeouts
from director.core.sysctls import Sysctls
from director.engines import interfaces
from director.engines.engine import EngineError
from director.formats import parse_number
from director.launcher import Parser
from director.process import PROGRAM, CannotRun, Settings, run, say

METHODS = {method.name.lower(): method for method in (Method.NAT, Method.TUN, Method.DR)}


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="A Linux Virtual Server's director: see docs/operating.md.")
    add = parser.add_argument
    add("--method", choices=METHODS, default="nat", help="forwarding method of ippfvsadm's rules")
    add("--scheduler", choices=schedulers.names(), default="wrr", help="scheduler of ippfvsadm's services")
    add("--scheduler-file", type=Path, metavar="FILE", help="a custom scheduler, for -s NAME")
    add("--engine", choices=engines.names(), default="scapy", help="data plane (default: scapy)")
    add("--short-cut", action="store_true", help="ebpf engine: see docs/ebpf.md")
    add("--rules", type=Path, metavar="FILE", help="rules to load, as ipvsadm -Sn writes them")
    add("--reload", action="store_true", help="make a running director load --rules")
    add("--socket", default=os.environ.get(SOCKET_VARIABLE) or SOCKET, metavar="FILE", help="control socket")
    add("--events", type=Path, metavar="FILE", help="append events to this file, as lines of JSON")
    add(
        "--conn-tab-bits",
        type=int,
        default=12,
        metavar="BITS",
        help="2^BITS buckets in the connection table, 8 to 20 (default: 12)",
    )
    add("--conn-limit", type=int, default=DEFAULT_LIMIT, metavar="N", help="maximum number of connections")
    add("--no-ftp-helper", dest="ftp_helper", action="store_false", help="like a kernel without ip_vs_ftp")
    many = partial(add, action="append", default=[])
    many(
        "--sysctl",
        dest="sysctls",
        metavar="NAME=VALUE",
        help="a setting, as under net.ipv4.vs (ipvs-sysctl -a)",
    )
    many(
        "--timeout",
        dest="timeouts",
        metavar="STATE=SECONDS",
        help="how long an idle connection may stay in a state",
    )
    add(
        "interfaces", nargs="*", metavar="IFACE", help="interfaces to use (default: all that have an address)"
    )
    return parser


def _settings(parser: Parser, options: argparse.Namespace) -> Settings:
    """Settings from the options of the same names. Ends the process if they are wrong. Raises LvsError."""
    if not options.ftp_helper and options.engine == "ipvs":
        parser.error("--no-ftp-helper: with the engine ipvs the helper is the kernel's module ip_vs_ftp")
    if options.scheduler_file and options.engine == "ipvs":
        parser.error("--scheduler-file: with the engine ipvs the schedulers are the kernel's")
    names = tuple(dict.fromkeys(options.interfaces)) or tuple(interfaces.with_an_address())
    if not names:
        parser.error(
            "no network interface has an address: give one to each interface that the director is to use"
        )
    options.method, options.interfaces = METHODS[options.method], names
    options.sysctls, options.timeouts = _sysctls(options.sysctls), _timeouts(options.timeouts)
    return Settings(**{field.name: getattr(options, field.name) for field in fields(Settings)})


def _sysctls(assignments: list[str]) -> Sysctls:
    """Raises LvsError for an unknown name or a bad value."""
    sysctls = Sysctls()
    for name, value in _assigned("sysctl", assignments):
        sysctls = sysctls.with_value(name.removeprefix("net.ipv4.vs."), value)
    return sysctls


def _timeouts(assignments: list[str]) -> Timeouts:
    """Raises LvsError for an unknown state or a bad time."""
    seconds = {name.lower(): value for name, value in _assigned("timeout", assignments)}
    known = [field.name for field in fields(Timeouts)]
    for name in seconds.keys() - set(known):
        raise BadValue("timeout", f"one of {', '.join(known)}", name)
    return Timeouts(**seconds)


def _assigned(what: str, assignments: list[str]) -> Iterator[tuple[str, int]]:
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        number = parse_number(value)
        if number < 0:
            raise BadValue(what, "NAME=NUMBER", assignment)
        yield name, number


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.reload and not options.rules:
        parser.error("--reload needs --rules FILE")
    if options.reload and options.interfaces:
        parser.error("--reload takes no interfaces: the running director keeps its own")
    try:
        if options.reload:
            say(rules_file.load(options.rules, partial(call, options.socket)))
        else:
            run(_settings(parser, options))
    except ChannelError as error:
        say(no_answer(options.socket, error))
        return 2
    except (CannotRun, EngineError, LvsError, rules_file.RulesFileError) as error:
        say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
