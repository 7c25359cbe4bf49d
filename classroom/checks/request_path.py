"""The path of requests: all of them pass the director, whichever MAC address the router has cached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from classroom.checks import listed, needs, title
from classroom.checks.arp import ROUTER, arp_answers, drop_entry, preserved_entry, set_entry, static_entry
from classroom.checks.service import send_requests, whole_rounds
from classroom.model import Judge, Observations, Variant
from labs.checks.result import Check
from labs.run.running import RunningLab

_MAX_INTERFACES = 3  # there is no time for more

# ---- probes: each path has `asked`, the number of requests; `director`, the number that it scheduled;
# `served`, the number by server or errno; `static`, whether the router's original entry was set by hand ----


def first_answers(running: RunningLab, variant: Variant) -> list[dict[str, Any]]:
    """For each interface that answers ARP for the VIP: the path of requests if the router believes it."""
    macs = {name: mac for mac, name in variant.plan.topology.names_of_macs.items()}
    paths = []
    with preserved_entry(running, variant) as is_static:
        for interface in arp_answers(running, variant)[:_MAX_INTERFACES]:
            set_entry(running, variant, macs.get(interface, interface), "permanent")
            paths.append({"first": interface, "static": is_static, **_path(running, variant)})
    return paths


def after_forgetting(running: RunningLab, variant: Variant) -> list[dict[str, Any]]:
    """The path of requests after all neighbour tables were flushed, and refilled by other requests.

    If none of those is answered, no more are sent.
    """
    before, static = _scheduled(running), static_entry(running, variant)
    outcomes = flush_neighbours(running, variant)
    try:
        if all(outcome["how"] != "answered" for outcome in outcomes):
            return [{"static": bool(static), **_counted(running, outcomes, before)}]
        return [{"static": bool(static), **_path(running, variant)}]
    finally:
        if static:
            set_entry(running, variant, static, "permanent")


def flush_neighbours(running: RunningLab, variant: Variant) -> list[dict[str, str]]:
    """Flush the neighbour tables of router and real servers, and refill them with requests."""
    for host in (*variant.hosts("servers"), ROUTER):
        running.network.hosts[host].run(["ip", "neigh", "flush", "all"], timeout=2)
    drop_entry(running, variant)
    return send_requests(running.clients[0], 80, _rounds(variant))


def _path(running: RunningLab, variant: Variant) -> dict[str, Any]:
    before = _scheduled(running)
    return _counted(running, send_requests(running.clients[0], 80, _rounds(variant)), before)


def _counted(running: RunningLab, outcomes: list[dict[str, str]], before: int) -> dict[str, Any]:
    served = Counter(outcome.get("server", outcome["how"]) for outcome in outcomes)
    return {"asked": len(outcomes), "director": _scheduled(running) - before, "served": dict(served)}


def _rounds(variant: Variant) -> int:
    """A whole number of rounds of rr."""
    return whole_rounds(len(variant.plan.servers))


def _scheduled(running: RunningLab) -> int:
    """Connections the director has scheduled so far."""
    return sum(running.director.connections_by_server().values())


# ---- judges ----


@needs(first_answers)
def director_gets_all(observations: Observations, variant: Variant) -> Check:
    """The director gets every request, whichever MAC address the router has cached."""
    return _all_through_director(director_gets_all, observations["first_answers"])


@needs(first_answers)
def fair_for_every_answer(observations: Observations, variant: Variant) -> Check:
    """Every real server gets its share, whichever MAC address the router has cached."""
    return _equal_shares(fair_for_every_answer, observations["first_answers"], variant)


@needs(after_forgetting)
def director_gets_all_after_flush(observations: Observations, variant: Variant) -> Check:
    """The director gets every request, even after all ARP caches were flushed."""
    return _all_through_director(director_gets_all_after_flush, observations["after_forgetting"])


@needs(after_forgetting)
def fair_after_flush(observations: Observations, variant: Variant) -> Check:
    """Every real server gets its share, even after all ARP caches were flushed."""
    return _equal_shares(fair_after_flush, observations["after_forgetting"], variant)


def _all_through_director(judge: Judge, paths: Sequence[Mapping[str, Any]]) -> Check:
    asked = sum(path["asked"] for path in paths)
    director = sum(path["director"] for path in paths)
    passed, observed = 0 < asked == director, str(director)
    if not passed and any(path.get("static") for path in paths):
        observed += f"; a static neighbour entry helps {ROUTER} only, and while the director keeps its MAC"
    return Check(title(judge), passed, f"{asked} requests" if asked else "all", observed)


def _equal_shares(judge: Judge, paths: Sequence[Mapping[str, Any]], variant: Variant) -> Check:
    """Whether the shares are equal on each path; shows the first path with unequal shares."""
    names = [server.name for server in variant.plan.servers]
    for path in paths:
        expected, served = dict.fromkeys(names, path["asked"] // len(names)), path["served"]
        if served != expected:
            return Check(title(judge), False, listed(expected), listed(dict(sorted(served.items()))))
    equal = "the same share for every server"
    return Check(title(judge), bool(paths), equal, equal if paths else "no requests")
