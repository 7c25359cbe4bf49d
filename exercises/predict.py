"""Which real server gets the next connection? Predict it for every scheduler, then try it."""

from __future__ import annotations

import sys

from classroom.checks.predictions import (
    PREDICTED,
    SCHEDULERS,
    Trial,
    name_of,
    opening_packet,
    real_servers,
    sections,
    trials,
    trials_served,
)
from classroom.model import WORKDIR, Exercise, Repair, Solution, Variant
from classroom.variants import variant_for
from classroom.worksheet import NAME, Section, text
from director.core import schedulers

_HEAD = """\
Each scheduler has a service of its own, with rs1, rs2 and rs3 in this order in the director's list and
no other connections. Which server gets each connection? Replace every ____ with rs1, rs2 or rs3.

stays open   until the last connection of the section has been made
closes       before the next connection; the director counts it as inactive for a minute or two"""


def _files(variant: Variant) -> dict[str, str]:
    return {NAME: text(_HEAD, sections(variant))}


EXERCISE = Exercise(
    methods=("nat",),
    servers=(3,),
    checks=(*PREDICTED, trials_served),
    files=_files,
    diagnosis=False,
    view=False,
)

# ---- Solutions ----
# `python -m exercises.predict STUDENT` prints the completed worksheet.

_COMMAND = f"{sys.executable} -m exercises.predict"

SOLUTIONS = (
    Solution(
        fails=tuple(f"predicted_{scheduler}" for scheduler in SCHEDULERS),
        repairs=(Repair("c1", (f"{_COMMAND} {{student}} > ../../{WORKDIR}/{NAME}",)),),
    ),
)


def predicted(trial: Trial, variant: Variant) -> list[str]:
    """The real servers of a trial's connections, by the director's own schedulers."""
    scheduler, servers = schedulers.make(trial.scheduler), real_servers(trial, variant)
    scheduler.changed(servers)
    names = []
    for step in trial.steps:
        pick = scheduler.pick(servers, opening_packet(step.client, variant), 0)
        if pick is not None:
            pick[0].count(active=step.stays, by=1)
            names.append(name_of(pick[0], variant))
    return names


def completed(student: str) -> str:
    """The worksheet with the right answers."""
    variant = variant_for("predict", student)
    sections = [
        Section(trial.scheduler, "", dict(zip(trial.labels, predicted(trial, variant), strict=True)))
        for trial in trials(variant)
    ]
    return text("", sections)


if __name__ == "__main__":
    sys.stdout.write(completed(sys.argv[1]))
