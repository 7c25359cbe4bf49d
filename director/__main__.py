"""Run a director: python -m director --method nat [--scheduler wrr] [--engine scapy] [IFACE ...]

It forwards once its control socket exists, and until SIGTERM or SIGINT; ippfvsadm gives it its
rules. Exit codes: 0 when it was ended, 2 with one sentence when the request or the machine
can't do it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from director import engines
from director.control import SOCKET, SOCKET_VARIABLE
from director.core import schedulers
from director.core.decision import Method
from director.core.defence import DEFAULT_LIMIT
from director.core.errors import BadValue, LvsError
from director.core.states import Timeouts
from director.core.sysctls import Sysctls
from director.engines import interfaces
from director.engines.engine import EngineError
from director.process import CannotRun, Settings, run

METHODS = {method.name.lower(): method for method in (Method.NAT, Method.TUN, Method.DR)}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence instead of the usage."""
        self.exit(2, f"{self.prog}: {message}.\n")


def settings(arguments: list[str] | None = None) -> Settings:
    """What the command line asks for; ends the process where it makes no sense."""
    parser = _Parser(prog="python -m director", description="A Linux Virtual Server's director.")
    parser.add_argument("--method", choices=METHODS, default="nat", help="how requests travel on")
    parser.add_argument("--scheduler", choices=schedulers.names(), default="wrr", help="for new connections")
    parser.add_argument("--scheduler-file", type=Path, metavar="FILE", help="one of your own, for -s NAME")
    parser.add_argument("--engine", choices=engines.names(), default="scapy", help="what moves the packets")
    parser.add_argument("--short-cut", action="store_true", help="engine ebpf: see docs/ebpf.md")
    parser.add_argument("--socket", default=os.environ.get(SOCKET_VARIABLE, SOCKET), help="for ippfvsadm")
    parser.add_argument("--events", type=Path, help="append what happens to this file, as lines of JSON")
    parser.add_argument("--conn-tab-bits", type=int, default=12, help="2^BITS buckets for connections: 8-20")
    parser.add_argument("--conn-limit", type=int, default=DEFAULT_LIMIT, help="most connections to remember")
    parser.add_argument("--no-ftp-helper", action="store_true", help="as without the module ip_vs_ftp")
    parser.add_argument("--sysctl", action="append", default=[], metavar="NAME=VALUE", help="of net.ipv4.vs")
    parser.add_argument("--timeout", action="append", default=[], metavar="STATE=SECONDS", help="of silence")
    parser.add_argument("interfaces", nargs="*", metavar="IFACE", help="default: all with an IPv4 address")
    asked = parser.parse_args(arguments)
    if asked.no_ftp_helper and asked.engine == "ipvs":
        parser.error("--no-ftp-helper: with the engine ipvs the helper is the kernel's module ip_vs_ftp")
    if asked.scheduler_file and asked.engine == "ipvs":
        parser.error("--scheduler-file: with the engine ipvs the schedulers are the kernel's")
    names = tuple(dict.fromkeys(asked.interfaces)) or tuple(interfaces.with_an_address())
    if not names:
        parser.error("no network interface has an IPv4 address: run the director's set-up script first")
    return Settings(
        method=METHODS[asked.method],
        scheduler=asked.scheduler,
        engine=asked.engine,
        short_cut=asked.short_cut,
        socket=asked.socket,
        events=asked.events,
        conn_tab_bits=asked.conn_tab_bits,
        conn_limit=asked.conn_limit,
        ftp_helper=not asked.no_ftp_helper,
        sysctls=_sysctls(asked.sysctl),
        timeouts=_timeouts(asked.timeout),
        interfaces=names,
        scheduler_file=asked.scheduler_file,
    )


def _sysctls(assignments: list[str]) -> Sysctls:
    """Raises LvsError for a name or a value that can't be."""
    sysctls = Sysctls()
    for name, value in _assigned("sysctl", assignments):
        sysctls = sysctls.with_value(name.removeprefix("net.ipv4.vs."), value)
    return sysctls


def _timeouts(assignments: list[str]) -> Timeouts:
    """Raises LvsError for a state or a time that can't be."""
    seconds = {name.lower(): value for name, value in _assigned("timeout", assignments)}
    known = [field.name for field in fields(Timeouts)]
    for name in seconds.keys() - set(known):
        raise BadValue("timeout", f"one of {', '.join(known)}", name)
    return Timeouts(**seconds)


def _assigned(what: str, assignments: list[str]) -> Iterator[tuple[str, int]]:
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if not (value.isascii() and value.isdigit()):
            raise BadValue(what, "NAME=NUMBER", assignment)
        yield name, int(value)


def main(arguments: list[str] | None = None) -> int:
    try:
        run(settings(arguments))
    except (CannotRun, EngineError, LvsError) as error:
        print(f"director: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
