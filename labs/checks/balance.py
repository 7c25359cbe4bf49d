"""Which real server gets how many connections, and whom it believes to be talking to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from labs.checks.result import Check, equal
from labs.running import Running
from labs.topology import Role

_ENOUGH = 12  # connections at least, so that three servers show a pattern


def by_weight(run: Running) -> Check:
    """Whole rounds of new connections: rr and wrr spread them exactly, whatever came before."""
    shares = _shares(run)
    rounds = math.ceil(_ENOUGH / sum(shares.values()))
    names = run.clients[0].names(rounds * sum(shares.values()))
    observed = {server.name: names.count(server.name) for server in run.plan.servers}
    expected = {name: rounds * share for name, share in shares.items()}
    title = f"{run.options.scheduler} spreads {sum(expected.values())} connections"
    if run.options.scheduler in ("rr", "wrr"):
        return equal(title, _text(expected), _text(observed))
    complete = sum(observed.values()) == sum(expected.values())
    return Check(title, complete, "every connection answered by a real server", _text(observed))


def _shares(run: Running) -> dict[str, int]:
    """Connections per round: the weights for the weighted schedulers, one each for the others."""
    weighted = run.options.scheduler == "wrr"
    return {server.name: server.weight if weighted else 1 for server in run.plan.servers}


def _text(counts: Mapping[str, int]) -> str:
    """`rs1 3, rs2 6, rs3 3`; more than six servers are grouped by their count."""
    if len(counts) <= 6:
        return ", ".join(f"{name} {count}" for name, count in counts.items())
    groups = Counter(counts.values())
    return ", ".join(f"{servers} servers {count}" for count, servers in sorted(groups.items()))


def client_addresses(run: Running) -> Check:
    """The real servers' own logs name the clients' addresses, never the director's."""
    clients = {client.address for client in run.plan.machines(Role.CLIENT)}
    seen = set().union(*(run.farm.visitors(server.name) for server in run.plan.servers))
    return equal(
        "servers see the client's own address",
        ", ".join(sorted(clients)),
        ", ".join(sorted(seen)) or "nobody",
    )
