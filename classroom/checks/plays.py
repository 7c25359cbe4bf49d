"""Predictions: does the director do with connections what the student has said?"""

from __future__ import annotations

from typing import Any

from classroom.checks import needs, title
from classroom.exercise import Judge, Seen
from classroom.guided.answers import answer
from classroom.guided.plays import SCHEDULERS, Play, plays
from classroom.probes.answers import answers
from classroom.probes.plays import played
from classroom.variants import Variant
from labs.checks.result import Check

_LOOK_AT = {
    "rr": "whose turn it is",
    "wrr": "whose weight reaches the current weight",
    "lc": "each server's connections, open and closed",
    "wlc": "each server's connections over its weight",
    "sed": "(open + 1) over the weight",
    "nq": "who has none open",
    "sh": "where the client's address leads",
    "dh": "where the VIP's address leads",
}


@needs(played)
def all_played(seen: Seen, variant: Variant) -> Check:
    """Every connection is served, whatever the scheduler."""
    names = {server.name for server in variant.plan.servers}
    asked = sum(len(play.steps) for play in plays(variant))
    served = sum(name in names for found in seen["played"].values() for name in found)
    return Check(title(all_played), served == asked, f"{asked} served", f"{served} served")


def _predicted(scheduler: str) -> Judge:
    @needs(answers, played)
    def judge(seen: Seen, variant: Variant) -> Check:
        play = next(one for one in plays(variant) if one.scheduler == scheduler)
        return _compared(title(judge), play, seen["answers"], seen["played"][scheduler])

    judge.__name__ = f"predicted_{scheduler}"
    judge.__doc__ = f"{scheduler}: as predicted."
    return judge


def _compared(name: str, play: Play, filled: dict[str, Any], found: list[str]) -> Check:
    """Says how many predictions have come true, and which is the first that has not; never what is right."""
    asked = range(play.told, len(play.steps))
    given = [answer(filled, play.scheduler, label) for label in play.labels]
    true = [one for one in asked if [(given[one] or "").lower()] == found[one : one + 1]]
    wrong = next((one for one in asked if one not in true), None)
    if wrong is None:
        return Check(name, True, f"{len(asked)} right", f"{len(asked)} right")
    observed = [f"{len(true)} right", _complaint(play, wrong, given[wrong]), *filled["wrong"][:1]]
    return Check(name, False, f"{len(asked)} right", "; ".join(observed))


def _complaint(play: Play, step: int, given: str | None) -> str:
    if given is None:
        return f"[{play.scheduler}] has no line {play.labels[step]!r}"
    if not given:
        return f"number {step + 1} is blank"
    return f"number {step + 1} does not go to {given}: look at {_LOOK_AT[play.scheduler]}"


PREDICTED = tuple(map(_predicted, SCHEDULERS))
