"""The reports made from a gradebook, all in one folder.

class.csv, junit.xml                                     the class
EXERCISE-STUDENT/report.txt, report.html, results.json   one submission; notes stay with the teacher
"""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from classroom.grading.gradebook import Entry, Gradebook, Refusal
from classroom.grading.marking import WHOLE, Mark, Part
from labs.errors import BadRequest
from realserver_setup.render import TEMPLATES

# ---- one submission: plain text, HTML, Gradescope ----


_WIDTH = 80  # columns of a plain report
_COUNTED = {
    "latest": "Of several submissions, the latest counts",
    "best": "Of several submissions, the best counts; of equal ones, the latest",
    "first": "Of several submissions, the first counts",
}


def counted(count: str) -> str:
    """The sentence that says which submission counts, without a full stop."""
    return _COUNTED[count]


def text_report(entry: Entry, count: str = "latest", lessons: str = "") -> str:
    mark = entry.mark
    lines = [f"{mark.exercise}: {mark.title}", f"{mark.student}: {mark.points} of {WHOLE} points", ""]
    for part in mark.parts:
        lines += _part_lines(part)
    lines += ["", *remarks(entry, count)]
    if mark.lesson:
        lines.append(
            f"To read, in your folder lvs-lab: {mark.lesson}"
            + (f" ({_online(mark, lessons)})" if lessons else "")
        )
    return "\n".join(lines) + "\n"


def remarks(entry: Entry, count: str) -> list[str]:
    several = [f"{counted(count)}: you have handed in {entry.of}."] if entry.of > 1 else []
    return [f"Used: {effort(entry.mark)}.", *several]


def _online(mark: Mark, lessons: str) -> str:
    """The online address of the lesson, or "" if the lessons' address is unknown."""
    return f"{lessons.rstrip('/')}/{mark.lesson_link}" if lessons else ""


def effort(mark: Mark) -> str:
    """`2 hints, 5 checks, the doctor 0 times, in 12.5 minutes`"""
    counts = {"hint": mark.hints, "check": mark.checks}
    used = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
    times = "once" if mark.doctor == 1 else f"{mark.doctor} times"
    return f"{used}, the doctor {times}, in {mark.minutes} minutes"


def _part_lines(part: Part) -> Iterator[str]:
    yield f"{'ok' if part.ok else 'FAIL':<5}{points(part):>6}  {part.name}"
    if not part.ok:
        yield f"{'':<13}expected: {part.expected}"
        yield f"{'':<13}observed: {part.observed}"
    if part.why:
        indent = " " * 13
        yield from textwrap.wrap(
            part.why, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )


def points(part: Part) -> str:
    """`20/35`, or "" for a part without points."""
    return f"{part.points}/{part.most}" if part.most else ""


def html_page(entry: Entry, count: str = "latest", lessons: str = "") -> str:
    """One self-contained page; everything a student wrote is escaped."""
    mark = entry.mark
    return _template().render(
        mark=mark, whole=WHOLE, points=points, remarks=remarks(entry, count), online=_online(mark, lessons)
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    return environment.get_template("classroom/report.html.j2")


def gradescope_results(entry: Entry, count: str = "latest", lessons: str = "") -> str:
    """A results.json for Gradescope's autograder; answers stay hidden until marks are published."""
    mark = entry.mark
    summary = " ".join((f"{mark.exercise} of {mark.student}: {mark.title}.", *remarks(entry, count)))
    if mark.lesson:
        summary += f" To read: {_online(mark, lessons) or mark.lesson}."
    form = {
        "score": mark.points,
        "max_score": WHOLE,
        "output": summary,
        "output_format": "text",
        "visibility": "visible",
        "tests": [_test(part) for part in mark.parts],
    }
    return json.dumps(form, indent=2) + "\n"


def _test(part: Part) -> dict[str, Any]:
    output = f"expected: {part.expected}\nobserved: {part.observed}"
    return {
        "name": part.name,
        "score": part.points,
        "max_score": part.most,
        "status": "passed" if part.ok else "failed",
        "output": f"{output}\n{part.why}" if part.why else output,
        "visibility": "after_published" if part.answer else "visible",
    }


# ---- the class: CSV with a line for each student, JUnit with a suite for each submission ----

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # the beginnings of formulas in spreadsheets
Row = list[str]


def csv_table(gradebook: Gradebook) -> str:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*csv_header(gradebook), "notes"])
    for student, entries in gradebook.students.items():
        notes = "; ".join(f"{entry.mark.exercise}: {note}" for entry in entries for note in entry.notes)
        writer.writerow([csv_cell(value) for value in (*csv_row(gradebook, student, entries), notes)])
    return text.getvalue()


def csv_header(gradebook: Gradebook) -> Row:
    return ["student", *gradebook.exercises, "total", "hints", "checks", "minutes"]


def csv_row(gradebook: Gradebook, student: str, entries: Sequence[Entry]) -> Row:
    """Points, empty without a submission; the rest are sums over the exercises."""
    marks = [entry.mark for entry in entries]
    points = {mark.exercise: mark.points for mark in marks}
    sums: tuple[float, ...] = (
        sum(points.values()),
        sum(mark.hints for mark in marks),
        sum(mark.checks for mark in marks),
        round(sum(mark.minutes for mark in marks), 1),
    )
    return [student, *(str(points.get(name, "")) for name in gradebook.exercises), *map(str, sums)]


def csv_cell(text: str) -> str:
    """`text` so that no spreadsheet runs it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def junit_suites(gradebook: Gradebook) -> str:
    root = Element("testsuites", name="LVS exercises")
    for entry in gradebook.entries:
        _add(root, entry)
    if gradebook.refusals:
        _add_refused(root, gradebook.refusals)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _add(root: Element, entry: Entry) -> None:
    mark = entry.mark
    name, failures = f"{mark.exercise}-{mark.student}", sum(not part.ok for part in mark.parts)
    suite = _suite(root, name, len(mark.parts), failures=failures)
    for part in mark.parts:
        case = SubElement(suite, "testcase", classname=name, name=part.name, time="0")
        if not part.ok:
            SubElement(case, "failure", message=_message(part), type="points")


def _message(part: Part) -> str:
    result = f"expected {part.expected}; observed {part.observed}"
    return "; ".join(filter(None, (points(part), result, part.why)))


def _add_refused(root: Element, refusals: tuple[Refusal, ...]) -> None:
    suite = _suite(root, "refused", len(refusals), errors=len(refusals))
    for refusal in refusals:
        case = SubElement(suite, "testcase", classname="refused", name=refusal.file, time="0")
        SubElement(case, "error", message=refusal.reason, type="refused")


def _suite(root: Element, name: str, tests: int, *, failures: int = 0, errors: int = 0) -> Element:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": 0}
    about = {"name": name, "time": "0", **{what: str(count) for what, count in counts.items()}}
    return SubElement(root, "testsuite", about)


# ---- all of them ----

_PER_SUBMISSION = {"report.txt": text_report, "report.html": html_page, "results.json": gradescope_results}
_PER_CLASS = {"class.csv": csv_table, "junit.xml": junit_suites}


def prepare(folder: Path) -> None:
    """Create the folder. Raises BadRequest."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(
            f"--output {folder}: cannot create this folder ({error.strerror}): name another."
        ) from None


def write(gradebook: Gradebook, folder: Path, lessons: str = "") -> None:
    """Write all reports, replacing earlier ones; `lessons`: their address. Raises BadRequest."""
    try:
        for name, made in _PER_CLASS.items():
            (folder / name).write_text(made(gradebook), encoding="utf-8")
        for entry in gradebook.entries:
            own = folder / f"{entry.mark.exercise}-{entry.mark.student}"
            own.mkdir(exist_ok=True)
            for name, report in _PER_SUBMISSION.items():
                (own / name).write_text(report(entry, gradebook.count, lessons), encoding="utf-8")
    except OSError as error:
        raise BadRequest(f"--output {folder} cannot be written ({error.strerror}): name another.") from None
