"""The way of requests: whether the director gets them, by its own count, and who serves them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from classroom.probes.arp import arp_answers
from classroom.probes.requests import ask, whole
from classroom.probes.router import ROUTER, drop_entry, kept_entry, set_entry
from classroom.variants import Variant
from labs.run.running import RunningLab

_MOST = 3  # ways there is time for


def first_answers(running: RunningLab, variant: Variant) -> list[dict[str, Any]]:
    """For interfaces that answer ARP for the VIP: what becomes of requests if its answer is the first."""
    macs = {name: mac for mac, name in variant.plan.topology.names_of_macs.items()}
    ways = []
    with kept_entry(running, variant):
        for interface in arp_answers(running, variant)[:_MOST]:
            set_entry(running, variant, macs.get(interface, interface), "permanent")
            ways.append({"first": interface, **_way(running, variant)})
    return ways


def after_forgetting(running: RunningLab, variant: Variant) -> list[dict[str, Any]]:
    """What becomes of requests when all neighbour tables were empty, and others have been served since.

    Where nobody has served those, there is no use in asking again.
    """
    before = _scheduled(running)
    asked = forget(running, variant)
    if all(one["how"] != "answered" for one in asked):
        return [_seen(running, asked, before)]
    return [_way(running, variant)]


def forget(running: RunningLab, variant: Variant) -> list[dict[str, str]]:
    """Empty the neighbour tables of router and real servers, as time does, and let requests fill them."""
    for host in (*variant.hosts("servers"), ROUTER):
        running.network.hosts[host].run(["ip", "neigh", "flush", "all"], timeout=2)
    drop_entry(running, variant)
    return ask(running.clients[0], 80, _rounds(variant))


def _way(running: RunningLab, variant: Variant) -> dict[str, Any]:
    before = _scheduled(running)
    return _seen(running, ask(running.clients[0], 80, _rounds(variant)), before)


def _seen(running: RunningLab, asked: list[dict[str, str]], before: int) -> dict[str, Any]:
    """How many requests were made, how many the director has seen, and who or what has answered."""
    served = Counter(one.get("server", one["how"]) for one in asked)
    return {"asked": len(asked), "director": _scheduled(running) - before, "served": dict(served)}


def _rounds(variant: Variant) -> int:
    """A whole number of rounds of rr."""
    return whole(len(variant.plan.servers))


def _scheduled(running: RunningLab) -> int:
    """Connections that the director has given to real servers so far."""
    return sum(running.director.connections_by_server().values())
