"""Two directors: which of them have the VIP."""

from __future__ import annotations

from classroom.checks import needs, title
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.network.topology import Role
from labs.run.running import RunningLab

# ---- probes ----


def vip_owners(running: RunningLab, variant: Variant) -> list[str]:
    """The directors that have the VIP on an interface."""
    vip, found = variant.plan.vip, []
    for node in variant.plan.nodes(Role.DIRECTOR):
        shown = running.network.hosts[node.name].run(["ip", "-o", "addr"], timeout=2).stdout
        if f" {vip}/" in shown:
            found.append(node.name)
    return found


# ---- judges ----


@needs(vip_owners)
def one_owner(seen: Observations, _variant: Variant) -> Check:
    """One director has the VIP, and no other."""
    owners = seen["vip_owners"]
    return Check(title(one_owner), len(owners) == 1, "one", " and ".join(owners) or "none")
