"""Two directors: which of them have the VIP, and what the standby is told."""

from __future__ import annotations

from typing import Any

from classroom.checks import needs, title
from classroom.checks.service import send_requests
from classroom.model import Observations, Variant
from labs.checks.result import Check
from labs.network.topology import Role
from labs.run.processes import DirectorProcess
from labs.run.running import RunningLab
from labs.wait import poll_until

_REQUESTS = 60  # connections, two records of each: full messages, which need not wait for their time
_TOLD = 2  # seconds

# ---- probes ----


def vip_owners(running: RunningLab, variant: Variant) -> list[str]:
    """The directors that have the VIP on an interface."""
    vip, found = variant.plan.vip, []
    for node in variant.plan.nodes(Role.DIRECTOR):
        shown = running.network.hosts[node.name].run(["ip", "-o", "addr"], timeout=2).stdout
        if f" {vip}/" in shown:
            found.append(node.name)
    return found


def told_connections(running: RunningLab, _variant: Variant) -> dict[str, int]:
    """Of connections that c1 opens now: how many the active director has, and the other one, too."""
    active = running.director
    (standby,) = (one for one in running.directors if one is not active)
    before = _connections(active)
    send_requests(running.clients[0], 80, _REQUESTS)
    opened = _connections(active) - before
    known = poll_until(
        lambda: opened & _connections(standby), lambda known: 2 * len(known) >= len(opened), _TOLD
    )
    return {"opened": len(opened), "known": len(known)}


def _connections(director: DirectorProcess) -> set[tuple[str, str]]:
    """The clients' ends and the VIP's ends of all that is no template."""
    rows: list[dict[str, Any]] = director.ask("connections")["connections"]
    return {(row["client"], row["vip"]) for row in rows if not row["client"].endswith(":0")}


# ---- judges ----


@needs(vip_owners)
def one_owner(seen: Observations, _variant: Variant) -> Check:
    """One director has the VIP, and no other."""
    owners = seen["vip_owners"]
    return Check(title(one_owner), len(owners) == 1, "one", " and ".join(owners) or "none")


@needs(told_connections)
def standby_knows(seen: Observations, _variant: Variant) -> Check:
    """The standby knows the connections of the active director."""
    opened, known = (seen["told_connections"][name] for name in ("opened", "known"))
    enough = opened > 0 and 2 * known >= opened
    return Check(title(standby_knows), enough, "most of those that are opened", f"{known} of {opened}")
