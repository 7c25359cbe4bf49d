"""The way of requests: that all pass the director, whatever the router in front of it has learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from classroom.checks import needs, title
from classroom.checks.service import told
from classroom.exercise import Judge, Seen
from classroom.probes.way import after_forgetting, first_answers
from classroom.variants import Variant
from labs.checks.result import Check

Ways = Sequence[Mapping[str, Any]]  # as the probes tell them


@needs(first_answers)
def director_gets_all(seen: Seen, variant: Variant) -> Check:
    """The director gets every request, whatever the router in front of it has learnt."""
    return _passed(director_gets_all, seen["first_answers"])


@needs(first_answers)
def fair_whatever_learnt(seen: Seen, variant: Variant) -> Check:
    """Every real server gets its share, whatever the router in front has learnt."""
    return _shared(fair_whatever_learnt, seen["first_answers"], variant)


@needs(after_forgetting)
def director_gets_all_later(seen: Seen, variant: Variant) -> Check:
    """The director gets every request, also when everybody has had to learn everything anew."""
    return _passed(director_gets_all_later, seen["after_forgetting"])


@needs(after_forgetting)
def fair_later(seen: Seen, variant: Variant) -> Check:
    """Every real server gets its share, also when everybody has had to learn everything anew."""
    return _shared(fair_later, seen["after_forgetting"], variant)


def _passed(judge: Judge, ways: Ways) -> Check:
    asked = sum(way["asked"] for way in ways)
    director = sum(way["director"] for way in ways)
    return Check(title(judge), 0 < asked == director, f"all {asked or 'of them'}", str(director))


def _shared(judge: Judge, ways: Ways, variant: Variant) -> Check:
    """Each way for itself: as many for everybody; of several, the first that is not so is shown."""
    names = [server.name for server in variant.plan.servers]
    for way in ways:
        expected, served = dict.fromkeys(names, way["asked"] // len(names)), way["served"]
        if served != expected:
            return Check(title(judge), False, told(expected), told(dict(sorted(served.items()))))
    return Check(title(judge), bool(ways), "the same for everybody", "so it is" if ways else "nothing")
