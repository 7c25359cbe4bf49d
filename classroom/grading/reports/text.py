"""A submission's report as plain text, for the student: notes stay with the teacher."""

from __future__ import annotations

from collections.abc import Iterator

from classroom.grading.gradebook import Entry
from classroom.grading.marking import WHOLE, Mark, Part


def report(entry: Entry) -> str:
    mark = entry.mark
    lines = [f"{mark.exercise}: {mark.title}", f"{mark.student}: {mark.points} of {WHOLE} points", ""]
    for part in mark.parts:
        lines += _part(part)
    lines += ["", f"Asked for: {effort(mark)}."]
    return "\n".join(lines) + "\n"


def effort(mark: Mark) -> str:
    """`2 hints, 5 checks, the doctor 0 times, in 12.5 minutes`"""
    return (
        f"{mark.hints} hints, {mark.checks} checks, the doctor {mark.doctor} times, in {mark.minutes} minutes"
    )


def _part(part: Part) -> Iterator[str]:
    yield f"{'ok' if part.ok else 'FAIL':<5}{points(part):>6}  {part.name}"
    if not part.ok:
        yield f"{'':<13}expected: {part.expected}"
        yield f"{'':<13}observed: {part.observed}"
    if part.why:
        yield f"{'':<13}{part.why}"


def points(part: Part) -> str:
    """`20/35`; nothing where there are none to be had."""
    return f"{part.points}/{part.most}" if part.most else ""
