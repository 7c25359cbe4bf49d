"""Two directors: ownership of the VIP, connection synchronisation, takeover, and servers in maintenance."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from classroom.checks import listed, needs, outcomes, title
from classroom.checks.open_connections import Conversation
from classroom.checks.service import MIN_REQUESTS, send_requests
from classroom.model import SERVERS, Observations, Variant
from labs.checks.failures import router_sees
from labs.checks.result import Check
from labs.network.topology import Role
from labs.run.paired_director import PairedDirector
from labs.run.processes import DirectorProcess
from labs.run.running import RunningLab
from labs.wait import poll_until

_REQUESTS = 60  # connections with two sync records each: full messages, which are sent at once
_SYNCED = 2  # seconds
_MOVED, _HEARD = 12, 2  # seconds until the VIP has moved, and until the router has noticed

# ---- probes ----


def vip_owners(running: RunningLab, variant: Variant) -> list[str]:
    """The directors that have the VIP on an interface."""
    vip, found = variant.plan.vip, []
    for node in variant.plan.nodes(Role.DIRECTOR):
        shown = running.network.hosts[node.name].run(["ip", "-o", "addr"], timeout=2).stdout
        if f" {vip}/" in shown:
            found.append(node.name)
    return found


def _has_vip(running: RunningLab, variant: Variant) -> list[str]:
    """The directors whose kernel accepts packets to the VIP (IPv4), found without starting a process."""
    found = []
    for node in variant.plan.nodes(Role.DIRECTOR):
        routes = Path(f"/proc/{running.network.hosts[node.name].pid}/net/fib_trie").read_text()
        _, *kinds = routes.split(f"|-- {variant.plan.vip}\n")
        if any("host LOCAL" in kind.partition("|--")[0] for kind in kinds):
            found.append(node.name)
    return found


def told_connections(running: RunningLab, _variant: Variant) -> dict[str, int]:
    """New connections of c1: the number `opened` at the active director, and `known` at the standby."""
    active = running.director
    (standby,) = (director for director in running.directors if director is not active)
    before = _connections(active)
    send_requests(running.clients[0], 80, _REQUESTS)
    opened = _connections(active) - before
    known = poll_until(
        lambda: opened & _connections(standby), lambda known: 2 * len(known) >= len(opened), _SYNCED
    )
    return {"opened": len(opened), "known": len(known)}


def _connections(director: DirectorProcess) -> set[tuple[str, str]]:
    """The client's end and the VIP's end of each connection, without templates."""
    rows: list[dict[str, Any]] = director.ask("connections")["connections"]
    return {(row["client"], row["vip"]) for row in rows if not row["client"].endswith(":0")}


def takeover(running: RunningLab, variant: Variant) -> dict[str, str]:
    """The active director releases the VIP in order: its `owner` then, and the `router`'s next hop.

    Afterwards it takes the VIP back. `other` is the director that should own it meanwhile.
    """
    active = running.director
    assert isinstance(active, PairedDirector)
    name, other = active.host.name, active.setup.peer
    send_requests(running.clients[0], 80, 1)  # so that the router has an entry: gratuitous ARP creates none
    active.end_takeover()
    try:
        poll_until(lambda: _has_vip(running, variant), lambda has: has == [other], _MOVED)
        owners = vip_owners(running, variant)
        router = poll_until(lambda: router_sees(running), lambda sees: sees == other, _HEARD)
    finally:
        active.restart_takeover()
        poll_until(lambda: _has_vip(running, variant), lambda has: name in has, _MOVED)
    return {"other": other, "owner": " and ".join(owners), "router": router}


def servers_in_rules(running: RunningLab, _variant: Variant) -> dict[str, list[str]]:
    """The addresses of the real servers to which each director sends new http clients."""
    return {
        director.host.name: sorted({address for address, weight in _rules(director).items() if weight > 0})
        for director in running.directors
    }


def dead_server(running: RunningLab, variant: Variant) -> dict[str, bool]:
    """Whether the active director takes a real server whose httpd is killed out of service."""
    address, active = _address(variant), running.director
    running.farm.kill(variant.server)
    try:
        out = poll_until(lambda: not _rules(active).get(address), bool, _OUT)
    finally:
        running.farm.restart(variant.server, running.network.hosts[variant.server])
        poll_until(lambda: _rules(active).get(address), bool, _OUT)
    return {"out": out}


def _rules(director: DirectorProcess) -> dict[str, int]:
    """The weights of the http service's real servers, by address."""
    services = director.ask("list")["services"]
    targets = (target for service in services if service["port"] == 80 for target in service["servers"])
    return {target["address"]: target["weight"] for target in targets}


def _address(variant: Variant) -> str:
    return next(server.address for server in variant.plan.servers if server.name == variant.server)


# ---- judges ----


@needs(takeover)
def takeover_heard(observations: Observations, _variant: Variant) -> Check:
    """When the VIP moves to the other director, the router sends there at once."""
    other, owner, router = (observations["takeover"][name] for name in ("other", "owner", "router"))
    shown = f"{owner or 'no director'} has it, and the router sends to {router}"
    return Check(title(takeover_heard), owner == router == other, "to the new owner", shown)


@needs(takeover)
def takes_over(observations: Observations, _variant: Variant) -> Check:
    """When the active director releases the VIP, the other takes it over."""
    other, owner = (observations["takeover"][name] for name in ("other", "owner"))
    return Check(title(takes_over), owner == other, other, owner or "no director")


@needs(servers_in_rules)
def both_use_all(observations: Observations, variant: Variant) -> Check:
    """Both directors send new clients to every real server."""
    names = {server.address: server.name for server in variant.plan.servers}
    found = observations["servers_in_rules"]
    missing = [
        f"{director} not to {name}"
        for director, addresses in found.items()
        for address, name in names.items()
        if address not in addresses
    ]
    all_used = "both to all of them"
    return Check(title(both_use_all), not missing, all_used, ", ".join(missing) or all_used)


@needs(dead_server)
def dead_taken_out(observations: Observations, _variant: Variant) -> Check:
    """A dead real server gets no new clients."""
    out = observations["dead_server"]["out"]
    return Check(title(dead_taken_out), out, "none", "none" if out else "it still gets new clients")


@needs(vip_owners)
def one_owner(observations: Observations, _variant: Variant) -> Check:
    """Exactly one director has the VIP."""
    owners = observations["vip_owners"]
    return Check(title(one_owner), len(owners) == 1, "one", " and ".join(owners) or "none")


@needs(told_connections)
def standby_knows(observations: Observations, _variant: Variant) -> Check:
    """The standby knows the connections of the active director."""
    opened, known = (observations["told_connections"][name] for name in ("opened", "known"))
    enough = opened > 0 and 2 * known >= opened
    return Check(title(standby_knows), enough, "most of the new connections", f"{known} of {opened}")


# ---- maintenance ----

_MARK = "index.html"  # the page that the checks request: without it, a server is in maintenance
_OUT = 3  # seconds until a server is out of service, and back


def maintenance(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """Clients have connections to every real server, one of which goes into maintenance and comes back.

    `talks`: the answers on those connections before (`first`) and meanwhile (`then`); `requests`: the results
    of new ones meanwhile; `out`: whether the active director took the server out of service; `kept`: the
    directors that still had a rule for it.
    """
    page = running.farm.root(variant.server) / _MARK
    address = _address(variant)
    conversation = Conversation(running.clients[0], 2 * len(variant.plan.servers))
    conversation.wait()
    away = page.rename(page.with_suffix(".away"))
    try:
        directors = {director.host.name: director for director in running.directors}
        poll_until(
            lambda: not any(_rules(director).get(address) for director in directors.values()), bool, _OUT
        )
        out = not _rules(running.director).get(address)
        kept = [name for name, director in directors.items() if address in _rules(director)]
        conversation.resume()
        requests = send_requests(running.clients[1], 80, MIN_REQUESTS)
        talks = conversation.answers()
    finally:
        away.rename(page)
    poll_until(lambda: _rules(running.director).get(address), bool, _OUT)
    return {"talks": talks, "requests": requests, "out": out, "kept": kept}


@needs(maintenance)
def users_finish(observations: Observations, variant: Variant) -> Check:
    """Users of a server that goes into maintenance can finish."""
    names = variant.hosts(SERVERS)
    talks = [talk for talk in observations["maintenance"]["talks"] if talk["first"] in names]
    broken = Counter(talk["then"] for talk in talks if talk["then"] != talk["first"])
    good = bool(talks) and not broken
    kept = "all kept working"
    return Check(title(users_finish), good, kept, outcomes(broken) if broken else kept)


@needs(maintenance)
def no_new_users(observations: Observations, variant: Variant) -> Check:
    """A server in maintenance gets no new users, and the others serve them."""
    found = observations["maintenance"]
    names = Counter(request.get("server") or request["how"] for request in found["requests"])
    good = found["out"] and variant.server not in names and set(names) <= set(variant.hosts(SERVERS))
    return Check(title(no_new_users), good, f"all served, none by {variant.server}", listed(names))


@needs(maintenance)
def both_keep_it(observations: Observations, _variant: Variant) -> Check:
    """Both directors keep the rule for a server in maintenance."""
    kept = observations["maintenance"]["kept"]
    return Check(title(both_keep_it), len(kept) == 2, "both", " and ".join(kept) or "none")
