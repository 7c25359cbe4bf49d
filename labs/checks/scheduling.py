"""Which real server gets how many connections, and whom it believes to be talking to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from labs.checks.result import Check, equal
from labs.run.running import RunningLab

SUBJECT = "scheduling"
_ENOUGH = 12  # connections at least, so that three servers show a pattern


_HEAVIEST = ("fo", "ovf", "sed")  # one after the other, connections find nobody else better
_ONE = ("dh", "lblc", "lblcr", "mh", "nq", "sh")  # one client, one VIP, and nobody busy: one server
_ALL = ("lc", "wlc")  # whoever has had the fewest


def as_scheduled(run: RunningLab) -> Check:
    """What the scheduler does with connections that come one after the other, from one client.

    rr and wrr spread whole rounds exactly, whatever came before; twos throws dice.
    """
    scheduler, servers = run.options.scheduler, run.plan.servers
    shares = {server.name: server.weight if scheduler == "wrr" else 1 for server in servers}
    rounds = math.ceil(_ENOUGH / sum(shares.values()))
    total = rounds * sum(shares.values())
    names = run.clients[0].names(total)
    observed = {server.name: names.count(server.name) for server in servers}
    served = [name for name, count in observed.items() if count]
    title = f"{scheduler} spreads {total} connections"
    if scheduler in ("rr", "wrr"):
        expected = {name: rounds * share for name, share in shares.items()}
        return equal(title, _text(expected), _text(observed))
    complete = sum(observed.values()) == total
    if scheduler in _HEAVIEST:
        first = max(servers, key=lambda server: server.weight).name
        return Check(title, complete and served == [first], f"all of them to {first}", _text(observed))
    if scheduler in _ONE:
        return Check(title, complete and len(served) == 1, "all of them to one real server", _text(observed))
    if scheduler in _ALL:
        everybody = complete and len(served) == len(servers)
        return Check(title, everybody, "some of them to every real server", _text(observed))
    return Check(title, complete, "every connection answered by a real server", _text(observed))


def _text(counts: Mapping[str, int]) -> str:
    """`rs1 3, rs2 6, rs3 3`; more than six servers are grouped by their count."""
    if len(counts) <= 6:
        return ", ".join(f"{name} {count}" for name, count in counts.items())
    groups = Counter(counts.values())
    return ", ".join(f"{servers} servers {count}" for count, servers in sorted(groups.items()))
