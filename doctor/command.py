"""`./inv doctor`: reports on the running lab or, if none is running, on the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from doctor.machine import show_machine
from doctor.state import LabState, states_of
from labs.errors import BuildFailed, Unable
from labs.run import attach
from labs.run.attach import AttachedLab
from labs.terminal.screen import make_console, print_wrapped

if TYPE_CHECKING:
    from doctor.causes import Cause


def doctor(student: str = "", lab: str = "", *, machine: bool = False) -> int:
    """Exit code 0 if nothing is wrong, else 1. Raises LabError."""
    known = [] if machine else list(attach.running_labs())
    found = attach.pick(known, student, lab)
    if found is not None:
        return _lab(found)
    if (student or lab) and not machine:
        reason = attach.none_running(known, student, lab, "lab")
        raise Unable(f"{reason}: ./inv doctor --machine reports on the machine.{attach.inaccessible_hint()}")
    return show_machine()


def knows_causes() -> bool:
    """Whether the causes are installed; an empty folder does not count."""
    found = find_spec("doctor.causes")
    return found is not None and found.origin is not None


def _lab(lab: AttachedLab) -> int:
    """Print the lab's causes."""
    if not knows_causes():
        raise Unable(
            "The doctor's causes are not in a student's archive: ./inv check shows what works, ./inv hint "
            "where to look."
        )
    from doctor import cause_table
    from doctor.causes import diagnose, titles

    if "exercise" in lab.about:
        lab.ask("note", entry="doctor", details={})
    try:
        first, *more = states_of(lab.ask("state"))
    except ValueError as error:
        raise BuildFailed(f"The lab of {lab.folder} was started by another version: {error}") from None
    found = diagnose(first)
    if not more:
        return cause_table.show(first, found, titles())
    print(f"IPv{first.version}:")
    codes = [cause_table.show(first, found, titles())]
    for state in more:
        print(f"IPv{state.version}:")
        codes.append(_also(state, found, diagnose(state)))
    return max(codes)


def _also(state: LabState, before: Sequence[Cause], found: Sequence[Cause]) -> int:
    """Print what is wrong with the other IP version, in one line if all is mended above; the exit code."""
    from doctor import cause_table
    from doctor.causes import titles

    known = {(cause.cause, cause.host, cause.repair) for cause in before}
    if found and {(cause.cause, cause.host, cause.repair) for cause in found} <= known:
        names = ", ".join(dict.fromkeys(f"{cause.cause} on {cause.host}" for cause in found))
        print_wrapped(make_console(), f"The same: {names}. The repair above is for both.")
        return 1
    as_above = "# as above: that repair is for both"
    shown = [
        replace(cause, repair=as_above) if (cause.cause, cause.host, cause.repair) in known else cause
        for cause in found
    ]
    return cause_table.show(state, shown, titles())
