"""The approaches to dispatching: the programs of each, and how it removes a server.

pick       the client has the list of servers
dns        an authoritative server that rotates its list with every answer, and caching resolvers
proxy      HAProxy on the director's host: terminates the client's connection and opens another
redirect   HAProxy, which redirects the client to a server's address
nat tun dr the director
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from compare.dispatch.browse import NAME
from compare.scaling import give_rules
from labs.errors import BuildFailed
from labs.network import addresses
from labs.plan import RealServer
from labs.run.running import RunningLab
from labs.wait import wait_for
from realserver_setup.render import configuration

TTL = 3  # seconds for which a resolver may cache an answer
GROUPS = {"c1": (9, 3), "c2": (1, 1)}  # clients behind each of a host's resolvers
TakeOut = Callable[[Sequence[RealServer]], str]  # takes the remaining servers, returns what it did


@dataclass(frozen=True, slots=True)
class Approach:
    """`lab` is the method whose lab it runs in, `browse` how a client finds its server."""

    name: str
    title: str
    lab: str
    browse: str
    target: str  # an address; empty: those of the servers
    begin: Callable[[RunningLab], TakeOut]


def _nothing(_run: RunningLab) -> TakeOut:
    return lambda _left: "nothing: a client that fails tries another server"


def _director(run: RunningLab) -> TakeOut:
    give_rules(run, run.plan.servers)

    def take_out(left: Sequence[RealServer]) -> str:
        """As mon does: delete the server's rule; keep connections and other rules."""
        (gone,) = set(run.plan.servers) - set(left)
        command = ["ippfvsadm", "-D", "-t", f"{addresses.VIP}:80", "-R", f"{gone.address}:{gone.http_port}"]
        done = run.network.hosts["d"].run(command)
        if done.exit_code:
            raise BuildFailed(f"{' '.join(command)}: {done.stderr.strip()}")
        return " ".join(command)

    return take_out


def _haproxy(template: str, run: RunningLab) -> TakeOut:
    file = run.evidence.folder / "haproxy.cfg"
    redirects = template == "redirect"
    file.write_text(
        configuration(
            "compare/haproxy.cfg.j2", address=addresses.DIP, servers=run.plan.servers, redirects=redirects
        )
    )
    run.network.hosts["d"].start(["haproxy", "-db", "-f", str(file)], run.evidence.log("haproxy"))
    wait_for(lambda: _listens(run, "d", addresses.DIP, 80), 20, "haproxy", BuildFailed)
    return lambda _left: "nothing: HAProxy checks its servers twice a second"


def _names(run: RunningLab) -> TakeOut:
    records = run.evidence.folder / "records"
    _write(records, run.plan.servers)
    own = ["--listen-address", addresses.DIP, "--local-ttl", str(TTL), "--addn-hosts", str(records)]
    authority = run.network.hosts["d"].start([*_dnsmasq(), *own], run.evidence.log("dnsmasq-d"))
    wait_for(lambda: _listens(run, "d", addresses.DIP, 53), 20, "dnsmasq", BuildFailed)
    for client in run.clients:
        host = client.host
        for number, _ in enumerate(GROUPS[host.name]):
            at = f"127.0.0.{11 + number}"
            cache = ["--listen-address", at, "--server", addresses.DIP, "--no-round-robin"]
            host.start([*_dnsmasq(), *cache], run.evidence.log(f"dnsmasq-{host.name}-{number}"))
            wait_for(partial(_listens, run, host.name, at, 53), 20, f"dnsmasq on {host.name}", BuildFailed)

    def take_out(left: Sequence[RealServer]) -> str:
        _write(records, left)
        os.kill(authority.pid, signal.SIGHUP)  # to read its records again
        return f"its record deleted; resolvers keep it for up to {TTL} s"

    return take_out


def _dnsmasq() -> list[str]:
    """dnsmasq in the foreground, without the machine's own configuration."""
    return [
        *("dnsmasq", "-k", "-C", "/dev/null", "--no-hosts", "--no-resolv", "--bind-interfaces"),
        *("--user=root", "--pid-file=", "--log-facility=-"),
    ]


def _write(records: Path, servers: Sequence[RealServer]) -> None:
    records.write_text("".join(f"{server.address} {NAME}\n" for server in servers))


def _listens(run: RunningLab, host: str, address: str, port: int) -> bool:
    return f"{address}:{port} " in run.network.hosts[host].run(["ss", "-Hlntu"]).stdout


APPROACHES = (
    Approach("pick", "in the client", "dr", "pick", "", _nothing),
    Approach("dns", "round-robin DNS", "dr", "dns", "", _names),
    Approach("proxy", "reverse proxy (HAProxy)", "dr", "plain", addresses.DIP, partial(_haproxy, "proxy")),
    Approach(
        "redirect",
        "HTTP redirection (HAProxy)",
        "dr",
        "redirect",
        addresses.DIP,
        partial(_haproxy, "redirect"),
    ),
    Approach("nat", "VS-NAT", "nat", "plain", addresses.VIP, _director),
    Approach("tun", "VS-TUN", "tun", "plain", addresses.VIP, _director),
    Approach("dr", "VS-DR", "dr", "plain", addresses.VIP, _director),
)
PROGRAMS = {"haproxy": "haproxy", "dnsmasq": "dnsmasq-base"}
