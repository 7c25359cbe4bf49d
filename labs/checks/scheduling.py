"""How the scheduler distributes connections over the real servers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from labs.checks.result import Check, equal
from labs.run.running import RunningLab

SUBJECT = "scheduling"
_ENOUGH = 12  # connections at least, for a pattern over three servers
_HEAVIEST = ("fo", "ovf", "sed")  # sequential connections all go to the server with the largest weight
_ONE = ("dh", "lblc", "lblcr", "mh", "nq", "sh")  # one client, one VIP, all servers idle: one server
_ALL = ("lc", "wlc")  # the server with the fewest connections


def as_scheduled(run: RunningLab) -> Check:
    """The distribution of sequential connections from one client.

    rr and wrr distribute whole rounds exactly, whatever preceded them; twos is random.
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
        return Check(title, complete and served == [first], f"all to {first}", _text(observed))
    if scheduler in _ONE:
        return Check(title, complete and len(served) == 1, "all to one real server", _text(observed))
    if scheduler in _ALL:
        everywhere = complete and len(served) == len(servers)
        return Check(title, everywhere, "some to every real server", _text(observed))
    return Check(title, complete, "every connection answered by a real server", _text(observed))


def _text(counts: Mapping[str, int]) -> str:
    """`rs1 3, rs2 6, rs3 3`; more than six servers are grouped by count."""
    if len(counts) <= 6:
        return ", ".join(f"{name} {count}" for name, count in counts.items())
    groups = Counter(counts.values())
    return ", ".join(f"{servers} servers {count}" for count, servers in sorted(groups.items()))
