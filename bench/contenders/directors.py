"""Our director on a testbed's host d, with each of its engines."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.contenders import Contender
from bench.testbed import Testbed, rules
from director import engines
from director.control.channel import call
from director.core.family import IPV4, IPV6
from director.engines.engine import EngineError
from director.ipvsadm import save_format
from labs.errors import BuildFailed
from labs.methods import METHODS
from labs.wait import patient

_METHODS_IPV6 = ("nat", "dr")


def start(testbed: Testbed, engine: str, *options: str, lines: Sequence[str] | None = None) -> None:
    """Start a director with `lines` of ipvsadm as its rules (default: the testbed's). Raises BuildFailed."""
    command = (sys.executable, "-m", "director", "--method", testbed.method, "--engine", engine)
    log = testbed.folder / "director.log"
    program = testbed.start("d", *command, "--socket", _socket(testbed), *options, "d-c", "d-s", log=log)

    def is_up() -> bool:
        if program.poll() is not None:  # its folder goes with the sandbox
            raise BuildFailed(
                f"the director has ended: {(log.read_text().splitlines() or ['no output'])[-1]}"
            )
        return Path(_socket(testbed)).exists()

    testbed.wait(is_up, f"the director's control socket ({engine})")
    add_rules(testbed, rules(testbed.method, testbed.family) if lines is None else lines)


def add_rules(testbed: Testbed, lines: Sequence[str]) -> None:
    """Add rules, as lines of ipvsadm, to the running director."""
    commands = [command for line in lines for command in save_format.read(line)]
    call(_socket(testbed), {"do": "apply", "commands": commands}, timeout=patient(20))


def _socket(testbed: Testbed) -> str:
    return f"/run/{testbed.name}.sock"


def _obstacle(engine: str) -> str:
    """Why the engine can't run here, or ""."""
    try:
        engines.require(engine)
    except EngineError as missing:
        return str(missing)
    return ""


def _contender(name: str, about: str, *options: str, engine: str = "", offload: bool = True) -> Contender:
    """A director; with IPv6 if its name says so, without VS-TUN: this kernel has no ip6tnl for the server."""
    engine, ipv6 = engine or name, name.endswith("_ipv6")

    def set_up(testbed: Testbed) -> None:
        start(testbed, engine, *options)

    return Contender(
        name,
        about,
        set_up,
        methods=_METHODS_IPV6 if ipv6 else METHODS,
        family=IPV6 if ipv6 else IPV4,
        offload=offload,
        obstacle=partial(_obstacle, engine),
    )


CONTENDERS = (
    _contender("ipvs", "kernel IPVS, with the rules of our director"),
    _contender("ebpf", "our director, engine ebpf: a BPF program in the kernel"),
    _contender(
        "ebpf_short_cut",
        "the same with --short-cut: frames skip the director's end of the cable they leave by",
        "--short-cut",
        engine="ebpf",
    ),
    _contender("ipvs_ipv6", "kernel IPVS over IPv6", engine="ipvs"),
    _contender("ebpf_ipv6", "the engine ebpf over IPv6", engine="ebpf"),
    _contender("scapy", "our director, engine scapy: Python, packet by packet", offload=False),
)
