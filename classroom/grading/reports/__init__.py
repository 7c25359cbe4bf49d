"""What a class book becomes: one format in each file, all of it in one folder.

class.csv, junit.xml                                   the class
EXERCISE-STUDENT/report.txt, report.html, results.json   one submission
"""

from __future__ import annotations

from pathlib import Path

from classroom.grading.gradebook import Gradebook
from classroom.grading.reports import csv, gradescope, html, junit, text
from labs.errors import BadRequest

_OF_ONE = {"report.txt": text.report, "report.html": html.page, "results.json": gradescope.results}
_OF_ALL = {"class.csv": csv.table, "junit.xml": junit.suites}


def prepare(folder: Path) -> None:
    """Make the folder. Raises BadRequest where it can't be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadRequest(f"--output {folder}: no folder can be made there ({error.strerror}).") from None


def write(gradebook: Gradebook, folder: Path) -> None:
    """Write all reports; what is there of an earlier time is replaced. Raises BadRequest."""
    try:
        for name, made in _OF_ALL.items():
            (folder / name).write_text(made(gradebook), encoding="utf-8")
        for entry in gradebook.entries:
            own = folder / f"{entry.mark.exercise}-{entry.mark.student}"
            own.mkdir(exist_ok=True)
            for name, report in _OF_ONE.items():
                (own / name).write_text(report(entry), encoding="utf-8")
    except OSError as error:
        raise BadRequest(f"--output {folder}: can't be written ({error.strerror}).") from None
