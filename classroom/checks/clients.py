"""The other clients: that each is served as c1 is, and as itself."""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.checks.service import told
from classroom.exercise import Seen
from classroom.probes.clients import other_clients
from classroom.variants import Variant
from labs.checks.result import Check
from labs.network.topology import Role


@needs(other_clients)
def others_served(seen: Seen, variant: Variant) -> Check:
    """Every connection of the other clients is served."""
    ended: dict[str, dict[str, int]] = seen["other_clients"]["clients"]
    served = bool(ended) and all(set(how) == {"answered"} for how in ended.values())
    expected = "; ".join(f"{name}: {sum(how.values())} answered" for name, how in ended.items())
    return Check(title(others_served), served, expected, _by_client(ended))


@needs(other_clients)
def no_strangers(seen: Seen, variant: Variant) -> Check:
    """The real servers see the clients' own addresses."""
    known = {node.address for node in variant.plan.nodes(Role.CLIENT)}
    visitors = seen["other_clients"]["visitors"]
    own = bool(visitors) and known >= set(visitors)
    return Check(
        title(no_strangers), own, f"only {', '.join(sorted(known))}", ", ".join(visitors) or "nobody"
    )


def _by_client(ended: dict[str, dict[str, int]]) -> str:
    return "; ".join(f"{name}: {told(how)}" for name, how in ended.items()) or "nobody asked"
