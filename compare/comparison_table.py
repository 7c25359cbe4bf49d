"""The published table, each cell with the observation of this run.

Published: "OS: any / must tunnel / any", "server mods: none / tunl / lo", "server network: private / on
Internet / local", "return packet rate, scalability: low (10) / high (100s?) / high (100s?)". A cell has only
what was observed, else "not measured".
"""

from __future__ import annotations

from dataclasses import dataclass

from compare.point import Point
from compare.results import (
    CHANGES,
    ELSEWHERE,
    ELSEWHERE_NO_ARP,
    NO_ARP_CONTROL,
    NO_TUNNEL,
    PLAIN,
    Finding,
    Results,
)
from labs.methods import METHODS

UNMEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of the experiment, and the evidence for it."""

    says: str
    evidence: tuple[str, ...] = ()


def cells(results: Results) -> dict[str, dict[str, Cell]]:
    """Rows by name, each with a cell for every method."""
    rows = {
        "server OS": _systems,
        "server modifications": _changes,
        "server network": _network,
        "reply path": _path,
        "scalability": _scalability,
    }
    return {name: {method: make(results, method) for method in METHODS} for name, make in rows.items()}


def _systems(results: Results, method: str) -> Cell:
    tried = _found(results, method, NO_TUNNEL, NO_ARP_CONTROL)
    if len(tried) < 2:
        return Cell(UNMEASURED)
    needs = {NO_TUNNEL: "must tunnel", NO_ARP_CONTROL: "must not answer ARP for the VIP"}
    lacks = [needs[finding.question] for finding in tried if not finding.works]
    return Cell(" and ".join(lacks) or "any", tuple(map(_line, tried)))


def _changes(results: Results, method: str) -> Cell:
    (made,) = _found(results, method, CHANGES) or (None,)
    if made is None:
        return Cell(UNMEASURED)
    count = 0 if made.works else len(made.evidence.split("; "))
    says = "none" if made.works else f"{count} commands"
    return Cell(says, tuple(made.evidence.split("; ")))


def _network(results: Results, method: str) -> Cell:
    tried = _found(results, method, PLAIN, ELSEWHERE, ELSEWHERE_NO_ARP)
    works = {finding.question: finding.works for finding in tried}
    if not {PLAIN, ELSEWHERE} <= works.keys():
        return Cell(UNMEASURED)
    places = [name for question, name in ((PLAIN, "local"), (ELSEWHERE, "remote")) if works[question]]
    return Cell(" or ".join(places) or "nowhere", tuple(map(_line, tried)))


def _path(results: Results, method: str) -> Cell:
    sound = results.sound(method)
    if not sound:
        return Cell(UNMEASURED)
    point = _typical(sound)
    share = point.through_director
    says = "through the director" if share >= 1 else "past the director"
    evidence = (
        f"{share:.3f} bytes left the director for each byte delivered "
        f"(port counters of the switches, with {point.servers} servers)"
    )
    return Cell(says, (evidence,))


def _scalability(results: Results, method: str) -> Cell:
    knee = results.knee(method)
    beyond = tuple(
        f"{point.servers} servers: {results.in_servers(point.delivered):.2f} server links, limited by "
        "this machine's processor"
        for point in results.too_much(method)
    )
    if knee is None:
        return Cell(UNMEASURED, beyond)
    if knee.servers is None:
        slope = f"each server adds {results.in_servers(knee.slope):.2f} of its link"
        return Cell(f"no knee up to {knee.measured_to} servers", (slope, *beyond))
    limits = {point.limited_by for point in results.sound(method) if point.servers > knee.servers}
    plateau = results.in_servers(knee.plateau or 0)
    evidence = (
        f"plateau at {plateau:.2f} server links",
        f"beyond it the limit is {' or '.join(sorted(limits))}",
    )
    return Cell(f"knee at {knee.servers:.1f} servers", (*evidence, f"fit within {knee.error:.1%}", *beyond))


def _typical(points: list[Point]) -> Point:
    """The largest point that the servers' links limit; if there is none, the smallest point."""
    free = [point for point in points if point.limited_by == "the servers' links"]
    return free[-1] if free else points[0]


def _found(results: Results, method: str, *questions: str) -> list[Finding]:
    found = (results.finding(method, question) for question in questions)
    return [finding for finding in found if finding is not None]


def _line(finding: Finding) -> str:
    return f"{'works' if finding.works else 'does not work'}: {finding.evidence}"
