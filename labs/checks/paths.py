"""Which way packets take, by the switches' counters, and what happens where no rule leads."""

from __future__ import annotations

from labs.checks.http import sizes
from labs.checks.result import Check, equal
from labs.network.topology import Role
from labs.run.running import RunningLab

SUBJECT = "packet paths"
_FEW = 0.2  # of the file's size: the client's acknowledgements are less than a tenth


def reply_path(run: RunningLab) -> tuple[Check, ...]:
    """Download a file and read off the director's switch ports how much of it came from there."""
    name = sizes(run)[-1]
    before = _sent_by_director(run)
    got = run.clients[0].get(f"http://{run.plan.vip}/{name}")
    share = (_sent_by_director(run) - before) / run.farm.files[name].size
    through = run.plan.replies_through_director
    path = "replies pass the director" if through else "replies do not pass the director"
    return (
        equal(f"http download of {name}", run.farm.files[name], got),
        Check(
            f"{path} (switch counters)",
            share >= 1 if through else share < _FEW,
            "at least 100 % of the file's bytes sent by it" if through else f"less than {_FEW:.0%} of them",
            f"{share:.0%}",
        ),
    )


def _sent_by_director(run: RunningLab) -> int:
    """Bytes that came into the switches from the director's interfaces."""
    ports = {run.network.switch_port(interface.name) for interface in run.plan.topology.director.interfaces}
    return sum(counters.rx_bytes for counters in run.controller.ports() if counters.name in ports)


def refused(run: RunningLab) -> Check:
    """A port of the VIP without a rule: the director's own kernel refuses it."""
    return equal("a port without a rule is refused", "ECONNREFUSED", run.clients[0].connect(81))


def client_addresses(run: RunningLab) -> Check:
    """The real servers' own logs name the clients' addresses, never the director's."""
    clients = {client.address for client in run.plan.nodes(Role.CLIENT)}
    seen = set().union(*(run.farm.visitors(server.name) for server in run.plan.servers))
    return equal(
        "servers see the client's own address",
        ", ".join(sorted(clients)),
        ", ".join(sorted(seen)) or "nobody",
    )
