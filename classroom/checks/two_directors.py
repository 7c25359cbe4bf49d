"""Two directors: which of them have the VIP, what the standby is told, and servers in maintenance."""

from __future__ import annotations

from collections import Counter
from typing import Any

from classroom.checks import listed, needs, outcomes, title
from classroom.checks.open_connections import Conversation
from classroom.checks.service import MIN_REQUESTS, send_requests
from classroom.model import SERVERS, Observations, Variant
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
    """The client's end and the VIP's end of each connection, without templates."""
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


# ---- maintenance ----

_MARK = "index.html"  # the page that the checks ask for: without it, a server is in maintenance
_OUT = 3  # seconds until a server is out of service, and back


def maintenance(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """Clients talk to every real server, one of which goes into maintenance and comes back.

    `talks`: what those connections answered before (`first`) and meanwhile (`then`); `requests`: how new ones
    ended meanwhile; `out`: whether the active director had taken the server out of service.
    """
    page = running.farm.root(variant.server) / _MARK
    address = next(one.address for one in variant.plan.servers if one.name == variant.server)
    conversation = Conversation(running.clients[0], 2 * len(variant.plan.servers))
    conversation.wait()
    away = page.rename(page.with_suffix(".away"))
    try:
        out = poll_until(lambda: not _gets_clients(running, address), bool, _OUT)
        conversation.resume()
        requests = send_requests(running.clients[1], 80, MIN_REQUESTS)
        talks = conversation.answers()
    finally:
        away.rename(page)
    poll_until(lambda: _gets_clients(running, address), bool, _OUT)
    return {"talks": talks, "requests": requests, "out": out}


def _gets_clients(running: RunningLab, address: str) -> bool:
    services = running.director.ask("list")["services"]
    targets = (target for service in services if service["port"] == 80 for target in service["servers"])
    return any(target["address"] == address and target["weight"] > 0 for target in targets)


@needs(maintenance)
def users_finish(seen: Observations, variant: Variant) -> Check:
    """Users of a server that goes into maintenance can finish."""
    names = variant.hosts(SERVERS)
    talks = [talk for talk in seen["maintenance"]["talks"] if talk["first"] in names]
    broken = Counter(talk["then"] for talk in talks if talk["then"] != talk["first"])
    good = bool(talks) and not broken
    return Check(title(users_finish), good, "all go on", outcomes(broken) if broken else "all go on")


@needs(maintenance)
def no_new_users(seen: Observations, variant: Variant) -> Check:
    """A server in maintenance gets no new users, and the others serve them."""
    found = seen["maintenance"]
    names = Counter(one.get("server") or one["how"] for one in found["requests"])
    good = found["out"] and variant.server not in names and set(names) <= set(variant.hosts(SERVERS))
    return Check(title(no_new_users), good, f"all served, none by {variant.server}", listed(names))
