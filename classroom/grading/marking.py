"""From a submission to a mark: how the lab behaved at the end, and whether the diagnosis is right.

    behaviour    the checks, judged again on the probes' observations: 70 of 100 points (all 100 without a
                 diagnosis), divided among the checks that the fault had failed
    diagnosis    host, cause and evidence: 10, 15 and 5 points

Hints cost no points; their number shows the teacher which students may need help.
"""

from __future__ import annotations

from dataclasses import dataclass

from classroom import catalogue
from classroom.checks import judged, title
from classroom.diagnosis import UNKNOWN
from classroom.grading.explanations import Explanation, explanation
from classroom.model import Solution, Variant
from classroom.submission import Submission, sanitize
from labs.checks.result import Check

WHOLE = 100
_DIAGNOSIS = {"host": 10, "cause": 15, "evidence": 5}
_ANSWERS = {"": "no answer", UNKNOWN: "I don't know"}
_BROKEN_NOW = "this worked before: repaired checks count half"
_HALF = "half the points, because something else is broken now"


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a report: `points` of `most`, and why; `most` is 0 for a check that was not broken.

    Its texts are safe to print, whatever was submitted. `answer`: the line reveals the fault.
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
    """`hints`, `checks`, `doctor`: how often each was used; `minutes` from start to submission.

    `lesson` names the page to read, with its section, and `lesson_link` is its path and anchor.
    """

    exercise: str
    title: str
    student: str
    parts: tuple[Part, ...]
    hints: int
    checks: int
    doctor: int
    minutes: float
    lesson: str = ""
    lesson_link: str = ""

    @property
    def points(self) -> int:
        return sum(part.points for part in self.parts)


def mark(submission: Submission, variant: Variant) -> Mark:
    """The mark of a submission for its student's variant."""
    definition = variant.definition
    solution = catalogue.solutions(variant.exercise)[variant.number or 0]
    checks = judged(definition.checks, submission.seen, variant)
    failed_by_fault = {title(judge) for judge in definition.checks if judge.__name__ in solution.fails}
    most = WHOLE - sum(_DIAGNOSIS.values()) if definition.diagnosis else WHOLE
    parts = [*_behaviour(checks, failed_by_fault, most)]
    about = explanation(solution, variant) if definition.diagnosis else None
    if about:
        parts += _diagnosis(submission, variant, solution, about)
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
        lesson=about.link if about else "",
        lesson_link=about.lesson if about else "",
    )


def _behaviour(checks: tuple[Check, ...], failed_by_fault: set[str], most: int) -> list[Part]:
    """Points for the checks that the fault had failed; halved if another check fails now."""
    broken = [check for check in checks if check.name in failed_by_fault]
    kept = [check for check in checks if check.name not in failed_by_fault]
    worse = any(not check.ok for check in kept)
    shares = _shares(most, len(broken))
    parts = [_repaired(check, share, worse) for check, share in zip(broken, shares, strict=True)]
    return parts + [_part(check, 0, 0, _BROKEN_NOW) for check in kept if not check.ok]


def _repaired(check: Check, share: int, worse: bool) -> Part:
    if check.ok and worse:
        return _part(check, share // 2, share, _HALF)
    return _part(check, share if check.ok else 0, share)


def _part(check: Check, points: int, most: int, why: str = "") -> Part:
    return Part(check.name, points, most, sanitize(check.expected), sanitize(check.observed), why)


def _shares(most: int, count: int) -> list[int]:
    """`most` as a sum of `count` whole numbers that are as equal as possible."""
    return [most // count + (number < most % count) for number in range(count)] if count else []


def _diagnosis(
    submission: Submission, variant: Variant, solution: Solution, about: Explanation
) -> list[Part]:
    """Each answer separately; a report says what the cause means, and what settles it."""
    why = {"cause": about.means, "evidence": about.settled}
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
            sanitize(_ANSWERS.get(given.get(name, ""), given.get(name))),
            why.get(name, ""),
            answer=True,
        )
        for name, most in _DIAGNOSIS.items()
    ]
