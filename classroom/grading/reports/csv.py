"""The class as a table for spreadsheets: one line a student, one column an exercise."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from io import StringIO

from classroom.grading.gradebook import Entry, Gradebook

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet would calculate
Row = list[str]


def table(gradebook: Gradebook) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*header(gradebook), "notes"])
    for student, entries in gradebook.students.items():
        notes = "; ".join(f"{entry.mark.exercise}: {note}" for entry in entries for note in entry.notes)
        writer.writerow([cell(value) for value in (*row(gradebook, student, entries), notes)])
    return text.getvalue()


def header(gradebook: Gradebook) -> Row:
    return ["student", *gradebook.exercises, "total", "hints", "checks", "minutes"]


def row(gradebook: Gradebook, student: str, entries: Sequence[Entry]) -> Row:
    """Points, empty where nothing was handed in; the rest are sums over the exercises."""
    marks = [entry.mark for entry in entries]
    points = {mark.exercise: mark.points for mark in marks}
    sums: tuple[float, ...] = (
        sum(points.values()),
        sum(mark.hints for mark in marks),
        sum(mark.checks for mark in marks),
        round(sum(mark.minutes for mark in marks), 1),
    )
    return [student, *(str(points.get(name, "")) for name in gradebook.exercises), *map(str, sums)]


def cell(text: str) -> str:
    """So that a spreadsheet takes it for text."""
    return f"'{text}" if text.startswith(_FORMULA) else text
