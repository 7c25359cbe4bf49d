"""Checks judge what probes have seen; a check's first line is its name, as people read it.

They run in the lab and, for the marks, without one: so they look at nothing themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from classroom.exercise import Judge, Seen
from classroom.probes import FAILED, Probe
from classroom.variants import Variant
from labs.checks.result import Check
from labs.terminal.exits import exception_line


def needs(*probes: Probe) -> Callable[[Judge], Judge]:
    """Says which probes a check looks at."""

    def mark(judge: Judge) -> Judge:
        judge.probes = probes  # type: ignore[attr-defined]
        return judge

    return mark


def probes_of(judges: Sequence[Judge]) -> tuple[Probe, ...]:
    """The probes that these checks need, each once, in order."""
    return tuple(dict.fromkeys(probe for judge in judges for probe in judge.probes))  # type: ignore[attr-defined]


def title(judge: Judge) -> str:
    return (judge.__doc__ or judge.__name__).strip().partition("\n")[0].rstrip(".")


def judged(judges: Sequence[Judge], seen: Seen, variant: Variant) -> tuple[Check, ...]:
    """What each check finds; one whose probe is missing, or could not look, has failed."""
    return tuple(_one(judge, seen, variant) for judge in judges)


def _one(judge: Judge, seen: Seen, variant: Variant) -> Check:
    for probe in probes_of((judge,)):
        what = seen.get(probe.__name__)
        if what is None:
            return Check(title(judge), False, "something seen", "nothing: it was not looked at")
        if isinstance(what, dict) and FAILED in what:
            return Check(title(judge), False, "to be looked at", str(what[FAILED]))
    try:
        return judge(seen, variant)
    except Exception as error:  # noqa: BLE001 (whatever the evidence is, it may cost this check only)
        return Check(title(judge), False, "evidence in its usual form", exception_line(error))
