"""Checks: each subject's file has probes, which observe a running lab, and judges of the observations.

A probe is a function of the running lab and the variant. It returns JSON, judges nothing, and takes a second
or two at most, whatever is broken: `./inv check` answers within five. Never rename a probe: its name is a key
of submissions.

A judge decides from the probes' observations alone, so the same code runs in `./inv check` and, without a
lab, in `./inv grade`. The first line of its docstring is the check's title for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from classroom.model import Judge, Observations, Variant
from labs.checks.result import Check
from labs.run.lab import EXPECTED_ERRORS
from labs.run.running import RunningLab
from labs.terminal.exits import exception_line

Probe = Callable[[RunningLab, Variant], Any]
FAILED = "probe failed"  # the key under which a probe's error is kept


def needs(*probes: Probe) -> Callable[[Judge], Judge]:
    """Declare the probes a judge reads."""

    def declare(judge: Judge) -> Judge:
        judge.probes = probes  # type: ignore[attr-defined]
        return judge

    return declare


def probes_of(judges: Sequence[Judge]) -> tuple[Probe, ...]:
    """The probes these judges need, each once, in order."""
    return tuple(dict.fromkeys(probe for judge in judges for probe in judge.probes))  # type: ignore[attr-defined]


def observe(probe: Probe, running: RunningLab, variant: Variant) -> Any:
    """A probe's observation, or the reason why it failed."""
    try:
        return probe(running, variant)
    except EXPECTED_ERRORS as error:
        return {FAILED: str(error) or type(error).__name__}
    except Exception as error:  # noqa: BLE001 (the other probes continue)
        return {FAILED: exception_line(error)}


def title(judge: Judge) -> str:
    return (judge.__doc__ or judge.__name__).strip().partition("\n")[0].rstrip(".")


def judged(judges: Sequence[Judge], observations: Observations, variant: Variant) -> tuple[Check, ...]:
    """The result of each check; a check whose probe has no observation fails."""
    return tuple(_judged(judge, observations, variant) for judge in judges)


def _judged(judge: Judge, observations: Observations, variant: Variant) -> Check:
    for probe in probes_of((judge,)):
        found = observations.get(probe.__name__)
        if found is None:
            return Check(title(judge), False, "an observation", "none: its probe did not run")
        if isinstance(found, dict) and FAILED in found:
            return Check(title(judge), False, "an observation", str(found[FAILED]))
    try:
        return judge(observations, variant)
    except Exception as error:  # noqa: BLE001 (malformed evidence fails this check only)
        return Check(title(judge), False, "well-formed evidence", exception_line(error))


def outcomes(counts: Mapping[str, int] | Counter[str]) -> str:
    """`12 answered, 3 ETIMEDOUT`"""
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none"


def listed(counts: Mapping[str, int] | Counter[str]) -> str:
    """`rs1 3, rs2 6`"""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
