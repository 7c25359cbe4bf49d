"""From a submission to marks: what its lab did at the end, and whether the diagnosis is right.

    behaviour    the checks, judged again from what the probes saw: 70 of 100 points, or all 100
                 where there is nothing to diagnose; points for the checks that the fault had failed
    diagnosis    host, cause and evidence: 10, 15 and 5

A hint costs nothing: it is shown, for the teacher to see who may need help.
"""

from __future__ import annotations

from dataclasses import dataclass

from classroom import catalogue
from classroom.checks import judged, title
from classroom.model import Solution, Variant
from classroom.sanitize import sanitize
from classroom.submission import Submission
from labs.checks.result import Check

WHOLE = 100
_DIAGNOSIS = {"host": 10, "cause": 15, "evidence": 5}
_SPOILS = "this worked before: whatever was mended counts half"
_HALF = "half of the points, because something else is broken now"


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a report: `points` of `most`, and why; `most` is 0 for what only spoils others.

    Its texts can be printed, whatever was handed in. `answer`: it gives away what was wrong.
    """

    name: str
    points: int
    most: int
    expected: str
    observed: str
    why: str = ""
    answer: bool = False

    @property
    def ok(self) -> bool:
        return 0 < self.points == self.most


@dataclass(frozen=True, slots=True)
class Mark:
    """`hints`, `checks`, `doctor`: how often each was asked for; `minutes` from start to submission."""

    exercise: str
    title: str
    student: str
    parts: tuple[Part, ...]
    hints: int
    checks: int
    doctor: int
    minutes: float

    @property
    def points(self) -> int:
        return sum(part.points for part in self.parts)


def mark(submission: Submission, variant: Variant) -> Mark:
    """The mark of a submission for its student's variant."""
    definition = variant.definition
    solution = catalogue.solutions(variant.exercise)[variant.number or 0]
    checks = judged(definition.checks, submission.seen, variant)
    promised = {title(judge) for judge in definition.checks if judge.__name__ in solution.fails}
    most = WHOLE - sum(_DIAGNOSIS.values()) if definition.diagnosis else WHOLE
    parts = [*_behaviour(checks, promised, most)]
    if definition.diagnosis:
        parts += _diagnosis(submission, variant, solution)
    asked = [entry["what"] for entry in submission.journal]
    times = [float(entry["at"]) for entry in submission.journal] or [0.0]
    return Mark(
        exercise=submission.exercise,
        title=catalogue.title(variant.exercise),
        student=submission.student,
        parts=tuple(parts),
        hints=asked.count("hint"),
        checks=asked.count("check"),
        doctor=asked.count("doctor"),
        minutes=round((times[-1] - times[0]) / 60, 1),
    )


def _behaviour(checks: tuple[Check, ...], promised: set[str], most: int) -> list[Part]:
    """Points lie on what the fault had broken; where something else is broken now, half of them are lost."""
    to_mend = [check for check in checks if check.name in promised]
    kept = [check for check in checks if check.name not in promised]
    spoilt = any(not check.ok for check in kept)
    shares = _shares(most, len(to_mend))
    parts = [_mended(check, share, spoilt) for check, share in zip(to_mend, shares, strict=True)]
    return parts + [_part(check, 0, 0, _SPOILS) for check in kept if not check.ok]


def _mended(check: Check, share: int, spoilt: bool) -> Part:
    if check.ok and spoilt:
        return _part(check, share // 2, share, _HALF)
    return _part(check, share if check.ok else 0, share)


def _part(check: Check, points: int, most: int, why: str = "") -> Part:
    return Part(check.name, points, most, sanitize(check.expected), sanitize(check.observed), why)


def _shares(most: int, count: int) -> list[int]:
    """`most` in `count` whole parts, as equal as can be."""
    return [most // count + (number < most % count) for number in range(count)] if count else []


def _diagnosis(submission: Submission, variant: Variant, solution: Solution) -> list[Part]:
    """Each answer for itself."""
    given = submission.diagnosis
    right = {
        "host": variant.hosts(solution.host),
        "cause": (solution.cause,),
        "evidence": solution.evidence,
    }
    return [
        Part(
            f"diagnosis: {name}",
            most if given.get(name) in right[name] else 0,
            most,
            " or ".join(right[name]),
            sanitize(given.get(name) or "not said"),
            answer=True,
        )
        for name, most in _DIAGNOSIS.items()
    ]
