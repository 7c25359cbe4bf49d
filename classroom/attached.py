"""Selects the running lab for a command."""

from __future__ import annotations

from labs.errors import Unable
from labs.run import attach
from labs.run.attach import AttachedLab


def attached(student: str = "", lab: str = "", *, exercise: bool = True) -> AttachedLab:
    """The running lab: the only one, the student's, or the one called `lab`. Raises LabError."""
    running = list(attach.running_labs())
    known = [found for found in running if "exercise" in found.about or not exercise]
    found = attach.pick(known, student, lab)
    if found is None:
        reason = attach.none_running(running, student, lab, "exercise" if exercise else "lab")
        advice = "" if running else f": {how_to_start(exercise=exercise)}"
        raise Unable(f"{reason}{advice}.{attach.inaccessible_hint()}")
    return found


def how_to_start(*, exercise: bool) -> str:
    """How to start the last exercise again, or any."""
    if again := attach.restart_command():
        return f"the last one has ended (it was left, or its terminal was closed); {again} starts it again"
    return "start one with ./inv exercise NAME --student ID" + (
        "" if exercise else ", or ./inv lab-nat --cli"
    )
