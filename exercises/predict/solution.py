"""What the director does: `python -m exercises.predict.solution STUDENT` prints the file filled in."""

from __future__ import annotations

import sys

from classroom.exercise import WORK, Repair, Solution
from classroom.guided.answers import NAME, Section, text
from classroom.guided.plays import SCHEDULERS, Play, listed, name_of, opening, plays
from classroom.variants import Variant, variant_for
from director.core import schedulers

_ITSELF = f"{sys.executable} -m exercises.predict.solution"

SOLUTIONS = (
    Solution(
        fails=tuple(f"predicted_{scheduler}" for scheduler in SCHEDULERS),
        repairs=(Repair("c1", (f"{_ITSELF} {{student}} > ../../{WORK}/{NAME}",)),),
    ),
)


def rehearsed(play: Play, variant: Variant) -> list[str]:
    """Who gets the connections of a play, by the director's own schedulers."""
    scheduler, servers = schedulers.make(play.scheduler), listed(play, variant)
    scheduler.changed(servers)
    names = []
    for step in play.steps:
        pick = scheduler.pick(servers, opening(step.client, variant), 0)
        if pick is not None:
            pick[0].count(active=step.stays, by=1)
            names.append(name_of(pick[0], variant))
    return names


def filled_in(student: str) -> str:
    """The answers file, all right."""
    variant = variant_for("predict", student)
    sections = [
        Section(play.scheduler, "", dict(zip(play.labels, rehearsed(play, variant), strict=True)))
        for play in plays(variant)
    ]
    return text("", sections)


if __name__ == "__main__":
    sys.stdout.write(filled_in(sys.argv[1]))
