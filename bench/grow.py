"""The order of a run about growth: each point for all peers in turns, then the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import ModuleType

from bench import director, growth, peers
from bench.clients import swallow
from bench.grown import Growth
from bench.run import Progress
from bench.site import SERVER, Site
from labs.errors import LabError

METHOD = "dr"
MOST = 1_000_000  # connections; of servers and services there are fewer
_SCRATCH = Path("/run/bench/growth")
_SERVERS = 1000  # real servers that a site's one machine stands for


@dataclass(frozen=True, slots=True)
class Plan:
    """`most` bounds the points; `seconds` is how long one measurement takes."""

    peers: tuple[str, ...] = growth.PEERS
    seconds: float = 2
    rounds: int = 3
    most: int = MOST

    def points(self, subject: ModuleType) -> tuple[int, ...]:
        return tuple(point for point in subject.POINTS if point <= self.most)

    def as_dict(self) -> dict[str, object]:
        return {"peers": self.peers, "seconds": self.seconds, "rounds": self.rounds, "most": self.most}


def steps(plan: Plan) -> int:
    """How often `say` is called."""
    points = sum(len(plan.points(growth.load(name))) for name in growth.names())
    return points * plan.rounds * len(plan.peers)


def measure(plan: Plan, results: Growth, say: Progress) -> Iterator[None]:
    """Yields after each point, so that it can be kept. To be called inside a sandbox, by its root."""
    for name in growth.names():
        sites: dict[str, Site] = {}
        try:
            for peer in plan.peers:
                _set_up(name, peer, sites, results)
            yield from _measure(plan, name, sites, results, say)
        finally:
            for site in sites.values():
                site.close()
    results.complete = True


def _set_up(name: str, peer: str, sites: dict[str, Site], results: Growth) -> None:
    module = peers.load(peer)
    why_not = module.cannot()
    if why_not:
        results.lacks(peer, why_not)
        return
    site = sites[peer] = Site(f"{name}-{peer}", METHOD if module.METHODS else "", _SCRATCH / name / peer)
    try:
        swallow(site)
        if module.METHODS:
            _know_servers(site)
            director.set_up(site, peer, lines=())
    except LabError as error:
        results.lacks(peer, str(error))
        sites.pop(peer).close()


def _know_servers(site: Site) -> None:
    """The director sends what is for any of the servers to the one machine that stands for them."""
    mac = site.mac("s", "s-d")
    first = IPv4Address(SERVER)
    lines = [f"neigh replace {first + at} lladdr {mac} dev d-s nud permanent" for at in range(_SERVERS)]
    site.run("d", "ip", "route", "add", f"{SERVER.rsplit('.', 2)[0]}.0.0/16", "dev", "d-s")
    site.run("d", "ip", "-batch", "-", text="\n".join(lines) + "\n")


def _measure(plan: Plan, name: str, sites: dict[str, Site], results: Growth, say: Progress) -> Iterator[None]:
    subject = growth.load(name)
    before = 0
    for point in plan.points(subject):
        for site in sites.values():
            if site.method:
                director.apply(site, subject.lines(point, before, site.method))
        for turn in range(plan.rounds):
            for peer, site in list(sites.items()):
                say(f"{point:,} {subject.AXIS}, round {turn + 1} of {plan.rounds}: {peer}")
                try:
                    found = subject.measure(site, point, before, turn, plan.seconds)
                except LabError as error:
                    results.lacks(peer, f"at {point:,} {subject.AXIS}: {error}")
                    sites.pop(peer).close()
                    continue
                results.add(name, peer, point, turn, found)
        before = point
        yield
