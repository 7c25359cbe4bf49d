"""Yardsticks: the testbed without a director, and with one that does next to nothing."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path
from socket import inet_aton

from bench.contenders import Contender
from bench.testbed import INSIDE, SERVER, VIP, Testbed
from director.core.family import IPV6

_SOURCE = Path(__file__).resolve().parent.parent / "redirect.c"
_SOURCE_AT, _DESTINATION_AT = 26, 30  # offsets of the IP addresses in a frame


def _leave_as_it_is(_testbed: Testbed) -> None:
    """Do nothing: the testbed already has a cable from client to server."""


def _route(testbed: Testbed) -> None:
    testbed.run("d", "ip", "addr", "del", f"{VIP}/32", "dev", "d-c")
    testbed.run("d", "ip", "route", "add", VIP, "via", SERVER)
    testbed.run("d", "sysctl", "-qw", "net.ipv4.ip_forward=1")


# ---- redirect: a BPF program that only rewrites addresses ----


def _no_compiler() -> str:
    missing = [name for name in ("clang", "tc") if shutil.which(name) is None]
    return f"Not installed: {', '.join(missing)}." if missing else ""


def _redirect(testbed: Testbed) -> None:
    if testbed.method == "nat":
        _attach(testbed, "d-c", "d-s", AT=_DESTINATION_AT, NEW=_number(SERVER))
        _attach(testbed, "d-s", "d-c", AT=_SOURCE_AT, NEW=_number(VIP))
    elif testbed.method == "tun":
        _attach(testbed, "d-c", "d-s", OUTER_FROM=_number(INSIDE), OUTER_TO=_number(SERVER))
    else:
        _attach(testbed, "d-c", "d-s")


def _attach(testbed: Testbed, ingress: str, egress: str, **rewriting: int) -> None:
    """Compile the program for two interfaces; it sends all packets from `ingress` out of `egress`."""
    near, far = egress.split("-")
    constants: dict[str, object] = {
        "INTERFACE": testbed.run("d", "cat", f"/sys/class/net/{egress}/ifindex").strip(),
        "TO": _initialiser(testbed.mac(far, f"{far}-{near}")),
        "FROM": _initialiser(testbed.mac("d", egress)),
        **rewriting,
    }
    compiled = testbed.folder / f"{ingress}.o"
    includes = f"-I/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    defines = [f"-D{name}={value}" for name, value in constants.items()]
    compiler = ("clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3", includes, *defines)
    testbed.run("d", *compiler, "-c", str(_SOURCE), "-o", str(compiled), seconds=60)
    testbed.run("d", "tc", "qdisc", "add", "dev", ingress, "clsact")
    program = ("bpf", "da", "obj", str(compiled), "sec", "tc")
    testbed.run("d", "tc", "filter", "add", "dev", ingress, "ingress", *program)


def _number(address: str) -> int:
    """An IPv4 address as the integer whose bytes in memory are in network byte order."""
    return int.from_bytes(inet_aton(address), sys.byteorder)


def _initialiser(mac: str) -> str:
    return ",".join(f"0x{byte}" for byte in mac.split(":"))


CONTENDERS = (
    Contender("direct", "the direct path, without a director", _leave_as_it_is, methods=()),
    Contender("direct_ipv6", "the direct path over IPv6", _leave_as_it_is, methods=(), family=IPV6),
    Contender(
        "redirect",
        "a BPF program without rules, tables or counters: the minimum cost of a director in BPF",
        _redirect,
        obstacle=_no_compiler,
    ),
    Contender(
        "router", "the director's kernel as a plain router, without a director", _route, methods=("dr",)
    ),
)
