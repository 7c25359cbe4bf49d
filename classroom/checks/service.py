"""What clients get: whether they are served, by whom, and in which shares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from classroom.checks import needs, title
from classroom.exercise import Seen
from classroom.probes.requests import requests
from classroom.variants import Variant
from labs.checks.result import Check


@needs(requests)
def all_served(seen: Seen, variant: Variant) -> Check:
    """Every connection is served."""
    found = outcomes(seen["requests"])
    return Check(
        title(all_served), set(found) == {"answered"}, f"{sum(found.values())} answered", told(found)
    )


@needs(requests)
def fair_shares(seen: Seen, variant: Variant) -> Check:
    """Every real server gets its share."""
    weights = {
        server.name: server.weight if variant.scheduler == "wrr" else 1 for server in variant.plan.servers
    }
    rounds, rest = divmod(len(seen["requests"]), sum(weights.values()))
    least = {name: rounds * weight for name, weight in weights.items()}
    got = Counter(one["server"] for one in seen["requests"] if one["how"] == "answered")
    shares = {name: got.get(name, 0) for name in weights}
    more = {name: weight if rest else 0 for name, weight in weights.items()}  # of a round that is not whole
    fair = rounds > 0 and all(least[name] <= shares[name] <= least[name] + more[name] for name in weights)
    return Check(title(fair_shares), fair, f"{'at least ' if rest else ''}{told(least)}", told(shares))


def outcomes(asked: Sequence[dict[str, str]]) -> Counter[str]:
    return Counter(one["how"] for one in asked)


def told(counts: Counter[str] | dict[str, int]) -> str:
    """`rs1 3, rs2 6`"""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing"
