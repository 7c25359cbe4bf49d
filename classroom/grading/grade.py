"""`./inv grade FOLDER`: marks and reports from a class's submissions, without a lab, root or network."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from classroom.grading import reports
from classroom.grading.collect import SubmittedFile, submitted_files
from classroom.grading.gradebook import COUNTS, Gradebook, grade_files
from classroom.grading.reports import counted, csv_header, csv_row
from classroom.keys import NOTICE, class_secret, is_practice, key_name, private_key
from labs.errors import BadRequest
from labs.terminal.screen import WIDE, is_terminal, make_console, print_wrapped, progress, table_box

_QUIET = 2.0  # seconds before a progress bar appears


def grade(source: str, secret: str, output: str, count: str = "latest", lessons: str = "") -> int:
    """Grade the submissions in a folder; exit code 1 if any was refused.

    `count`: which of several submissions counts; `lessons`: the online address of the lessons. Raises
    BadRequest, also if all submissions are sealed for other classes, because then the secret is wrong.
    """
    if count not in COUNTS:
        raise BadRequest(f"--count {count!r} is unknown: choose from {', '.join(COUNTS)}.")
    secret = class_secret(secret)
    key = private_key(secret)
    files = submitted_files(Path(source))
    folder = Path(output) if output else _beside(Path(source))
    is_new = not folder.exists()
    reports.prepare(folder)
    if is_practice(secret):
        print_wrapped(make_console(), NOTICE)
    done = grade_files(_watched(files), key, count)
    if not done.entries and all(refusal.class_name for refusal in done.refusals):
        if is_new:
            folder.rmdir()
        raise BadRequest(_wrong_secret(done, key_name(key.public_key)))
    reports.write(done, folder, lessons)
    _show(done, folder)
    return 1 if done.refusals else 0


def _wrong_secret(done: Gradebook, ours: str) -> str:
    given = ", ".join(sorted({refusal.class_name for refusal in done.refusals}))
    return (
        f"None of the {len(done.refusals)} submissions is sealed for the class of this secret ({ours}); "
        f"their class is {given}: give the secret with which their archive was made (--secret FILE)."
    )


def _beside(source: Path) -> Path:
    return (source if source.is_dir() else source.parent) / "grades"


def _watched(files: Sequence[SubmittedFile]) -> Iterator[SubmittedFile]:
    """The same files, with a progress bar on a terminal if grading takes a while."""
    if not is_terminal():
        yield from files
        return
    began = time.monotonic()
    bar = progress(make_console())
    task = bar.add_task("Grading", total=len(files))
    try:
        for file in files:
            if time.monotonic() - began > _QUIET:
                bar.start()
            yield file
            bar.advance(task)
    finally:
        bar.stop()


def _show(done: Gradebook, folder: Path) -> None:
    console = make_console(WIDE)
    if done.entries:
        console.print(_table(done, console.width))
    if any(entry.of > 1 for entry in done.entries):
        print_wrapped(console, f"{counted(done.count)} (--count {done.count}).")
    for entry in done.entries:
        for note in entry.notes:
            print_wrapped(console, f"Note: {entry.file}: {note}.", indent="  ")
    for refusal in done.refusals:
        print_wrapped(console, f"REFUSED {refusal.file}: {refusal.reason}.", "bold red", "  ")
    print_wrapped(console, f"{len(done.entries)} graded, {len(done.refusals)} refused; reports in {folder}")


def _table(done: Gradebook, width: int) -> Table:
    """The table of class.csv; only the sums if the exercises do not fit the screen."""
    rows = [csv_header(done), *(csv_row(done, name, entries) for name, entries in done.students.items())]
    if sum(max(map(len, column)) + 3 for column in zip(*rows, strict=True)) >= width:
        rows = [[line[0], *line[len(done.exercises) + 1 :]] for line in rows]
    table = Table(box=table_box())
    for number, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if number else "left")
    for line in rows[1:]:
        table.add_row(*map(Text, line))
    return table
