"""The order of a run: sites are set up, then each is measured in turn, round after round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import measures, peers, servers
from bench.results import Results, Sample
from bench.site import Site
from labs.errors import LabError
from labs.methods import METHODS

_SCRATCH = Path("/run/bench")
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured; `seconds` is how long one measurement takes."""

    methods: tuple[str, ...] = METHODS
    peers: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    seconds: float = 3
    rounds: int = 3

    def as_dict(self) -> dict[str, object]:
        return {
            "methods": self.methods,
            "peers": self.peers or peers.names(),
            "measures": self.measures or measures.names(),
            "seconds": self.seconds,
            "rounds": self.rounds,
        }


def measure(plan: Plan, results: Results, say: Progress) -> Iterator[None]:
    """Yields after each round, so that it can be kept. To be called inside a sandbox, by its root."""
    for method in plan.methods:
        yield from _measure_method(plan, method, results, say)
    results.complete = True


def steps(plan: Plan) -> int:
    """How often `say` is called, at most."""
    of_peers = len(plan.peers or peers.names())
    return len(plan.methods) * of_peers * (1 + plan.rounds * len(plan.measures or measures.names()))


def _measure_method(plan: Plan, method: str, results: Results, say: Progress) -> Iterator[None]:
    sites: dict[str, Site] = {}
    try:
        for peer in plan.peers or peers.names():
            say(f"{method}: {peer} is set up")
            site = _set_up(method, peer, results)
            if site is not None:
                sites[peer] = site
        for number in range(plan.rounds):
            for name in plan.measures or measures.names():
                for peer, site in sites.items():
                    say(f"{method}, round {number + 1} of {plan.rounds}: {name} of {peer}")
                    _measure(name, site, plan.seconds, (number, method, peer), results)
            yield
    finally:
        for site in sites.values():
            site.close()


def _set_up(method: str, name: str, results: Results) -> Site | None:
    """None where that can't be, which the results say."""
    peer = peers.load(name)
    if peer.METHODS and method not in peer.METHODS:
        results.lacks(method, name, "", "it can't forward in this way")
        return None
    why_not = peer.cannot() or _cannot(method)
    if why_not:
        results.lacks(method, name, "", why_not)
        return None
    site: Site | None = None
    try:
        own = method if peer.METHODS else ""
        site = Site(f"{method}-{name}", own, _SCRATCH / method / name, offload=peer.OFFLOAD)
        servers.start(site)
        peer.set_up(site)
    except LabError as error:
        results.lacks(method, name, "", str(error))
        if site is not None:
            site.close()
        return None
    return site


def _cannot(method: str) -> str:
    """Why no real server of this kernel can be reached by a method."""
    if method == "tun" and not Path("/proc/sys/net/ipv4/conf/tunl0").exists():
        return (
            "this kernel has no tunl0 (module ipip) for the real server: `./inv vm bench` boots one that has"
        )
    return ""


def _measure(name: str, site: Site, seconds: float, where: tuple[int, str, str], results: Results) -> None:
    measure = measures.load(name)
    number, method, peer = where
    found: dict[str, float] = {}
    why_not = getattr(peers.load(peer), "LACKS", {}).get(name, "")
    if not why_not:
        try:
            found = measure.measure(site, seconds)
        except LabError as error:
            why_not = str(error)
    if why_not:
        for figure in measure.FIGURES:
            results.lacks(method, peer, figure, why_not)
    results.samples += [Sample(number, method, peer, figure, value) for figure, value in found.items()]
