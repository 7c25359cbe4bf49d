"""A student's commands: start an exercise, open a shell in it, check it, ask for a hint, reset it."""

from __future__ import annotations

import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.table import Table

from classroom import catalogue
from classroom.attached import attached, how_to_start
from classroom.diagnosis import CAUSES, EVIDENCE, UNKNOWN
from classroom.journal import Journal
from classroom.model import Variant, lab_title
from classroom.variants import default_student, variant_for
from labs.checks.result import Check
from labs.errors import BadRequest, BuildFailed, Unable
from labs.run import attach, evidence
from labs.run.attach import AttachedLab
from labs.run.control_server import ABOUT
from labs.terminal.screen import (
    WIDE,
    busy,
    check_table,
    is_interactive,
    make_console,
    print_wrapped,
    table_box,
    text_table,
)
from labs.wait import poll_until

_RESTART = 60  # seconds
_COMMANDS = {
    "./inv shell HOST": "a shell on a host of the lab: {hosts}",
    "./inv check": "what works and what does not, as often as you like",
    "./inv hint": "the next hint",
    "./inv reset": "restart in its original state",
    "./inv submit": "write the file to hand in",
}


def exercise(name: str, student: str, watcher: Callable[[], Any] | None = None) -> int:
    """Start an exercise and keep it running in this terminal; `watcher` creates its live view, if any."""
    variant = variant_for(name, student or default_student())
    if watcher and not variant.definition.view:
        raise BadRequest(f"{name} has no view, which would answer its questions: start it without --view.")
    for other in attach.running_labs():
        if _is(other, variant):
            other.require_awake()
            raise BadRequest(
                f"{other} is already running, in {other.folder}: end it first, with exit in its terminal."
            )
    from classroom.session import run  # imports everything that builds a lab

    return run(variant, _stay, lambda: _introduce(variant), watcher)


def overview() -> int:
    """All exercises, in order."""
    table = Table(box=table_box(), title="Exercises: ./inv exercise NAME --student ID", title_justify="left")
    for column in ("name", "title", "lab"):
        table.add_column(column)
    for name in catalogue.names():
        about = catalogue.load(name)
        methods = " or ".join(lab_title(method, about.family) for method in about.methods)
        table.add_row(name, catalogue.title(name), methods)
    make_console().print(table)
    return 0


def _introduce(variant: Variant) -> None:
    _print_markdown(variant.filled(catalogue.text(variant.exercise)))
    make_console().print()


def _print_markdown(text: str) -> None:
    from rich.markdown import Markdown  # takes 0.05 s, and few commands need it

    make_console().print(Markdown(text))


def _stay(session: Any) -> None:
    """Stay at Mininet's prompt until the student leaves it or, without a terminal, until a signal comes."""
    variant: Variant = session.variant
    console = make_console()
    hosts = " ".join(session.running.network.hosts)
    console.print("The lab is running. In another terminal:")
    for command, purpose in _COMMANDS.items():
        print_wrapped(console, f"  {command:<18} {purpose.format(hosts=hosts)}", indent=" " * 21)
    _print_path("Set-up scripts (you may edit them)", session.evidence.scripts)
    for file in sorted(session.workdir.glob("*")):
        _print_path("Your file to edit", file)
    print_wrapped(console, f"Exercise {variant.exercise} of {variant.student} has begun.")
    sys.stdout.flush()
    if is_interactive():
        director = session.running.plan.topology.directors[0].name
        print_wrapped(
            console,
            f"Type commands for any host here, too (c1 ping -c1 {director}); exit or Ctrl-D ends the lab.",
        )
        session.running.network.prompt()
    else:
        signal.pause()


def _print_path(what: str, path: Path) -> None:
    """Print a path, relative to the current folder if it is below."""
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    print_wrapped(make_console(), f"{what}: {shown}", indent="  ")


def _is(lab: AttachedLab, variant: Variant) -> bool:
    return (lab.about.get("exercise"), lab.about.get("student")) == (variant.exercise, variant.student)


def check(student: str, lab: str = "") -> int:
    """Print the result of every check; exit code 0 if all passed, else 1."""
    found = attached(student, lab)
    with busy("checking the lab"):
        answer = found.ask("check")
    checks = [Check(**check) for check in answer["checks"]]
    make_console(WIDE).print(check_table(checks))
    passed = sum(check.ok for check in checks)
    make_console().print(
        f"{'PASSED' if passed == len(checks) else 'NOT YET'}  {passed} of {len(checks)} checks, "
        f"{answer['seconds']:.1f} s"
    )
    if answer["unwritten"]:
        raise Unable(str(answer["unwritten"]))
    return 0 if passed == len(checks) else 1


def hint(student: str, lab: str = "", *, again: bool) -> int:
    """Open the next hint, or show those that are open."""
    answer = attached(student, lab).ask("hint", more=not again)
    hints, of = answer["hints"], answer["of"]
    shown = hints if again else hints[-1:]
    for number, text in enumerate(shown, len(hints) - len(shown) + 1):
        make_console().print(f"Hint {number} of {of}", style="bold")
        _print_markdown(text)
    if not shown:
        make_console().print(
            "No hint is open yet: ./inv hint opens the first." if of else "This exercise has no hints."
        )
    elif len(hints) == of and not again:
        make_console().print("That was the last hint.")
    return 0


def shell(host: str, student: str, command: str, lab: str = "") -> int:
    """A shell on a host of the running lab, or one command line there; returns its exit code."""
    try:
        shlex.split(command)
    except ValueError as error:
        raise BadRequest(f"--command {command!r}: {error}; quote it as in a shell.") from None
    found = attached(student, lab, exercise=False)
    if "exercise" in found.about:
        found.ask("note", entry="shell", details={"host": host, "command": command})
    return attach.shell(found, host, ["sh", "-c", command] if command else ())


# ---- status, and starting again ----


def status() -> int:
    """Print the running labs and exercises, for how long they have run, and the student's progress."""
    rows = [_status(lab) for lab in attach.running_labs()]
    columns = ("lab", "student", "running for", "checks passed", "hints", "folder")
    console = make_console()
    if rows:
        console.print(text_table(columns, rows))
        print_wrapped(console, f"The folders are in {evidence.runs_folder()}.{attach.inaccessible_hint()}")
    else:
        console.print(f"No lab is running: {how_to_start(exercise=False)}.{attach.inaccessible_hint()}")
    return 0


def _status(lab: AttachedLab) -> tuple[str, ...]:
    journal = Journal(lab.folder)
    began = (lab.folder / ABOUT).stat().st_mtime
    passed = hints = ""
    if name := lab.about.get("exercise"):
        began = next((entry["at"] for entry in journal.entries()), began)
        checked, known = journal.last("check"), len(catalogue.load(name).checks)
        ago = f", {_duration(time.time() - checked['at'])} ago" if checked else ""
        passed = f"{len(checked['passed'])} of {known}{ago}" if checked else "not checked yet"
        hints = f"{journal.count('hint')} of {len(catalogue.hints(name))}"
    stopped = ", suspended" if lab.is_suspended() else ""
    running = f"{_duration(time.time() - began)}{stopped}"
    student = lab.about.get("student", "")
    return (str(name or lab.about["lab"]), student, running, passed, hints, lab.folder.name)


def _duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 5 min`"""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def reset(student: str, lab: str = "") -> int:
    """Restart the running exercise in its original state; returns when it is up."""
    found = attached(student, lab)
    before = resets_of(found)
    found.ask("reset")

    def again() -> AttachedLab | None:
        labs = (lab for lab in attach.running_labs() if lab.folder == found.folder)
        return next((lab for lab in labs if resets_of(lab) > before), None)

    with busy("starting the lab again"):
        fresh = poll_until(again, bool, _RESTART)
        if fresh is None:
            raise BuildFailed(f"{found} has not restarted: its terminal says why.")
        hosts = fresh.hosts  # answered once it is built
    assert hosts
    console = make_console()
    print_wrapped(console, f"{found} is in its original state. Its journal continues, with hints and checks.")
    old = found.folder / evidence.BEFORE.format(before + 1)
    print_wrapped(console, f"The scripts and files that you have changed are in {old}.")
    return 0


def resets_of(lab: AttachedLab) -> int:
    """The number of resets so far."""
    return int(lab.about.get("resets", 0))


def words() -> int:
    """List the words of a diagnosis."""
    for title, known in (("--cause", CAUSES), ("--evidence", EVIDENCE)):
        table = Table(box=table_box(), title=title, title_justify="left")
        table.add_column("word")
        table.add_column("meaning")
        for word, what in {**known, UNKNOWN: "I don't know"}.items():
            table.add_row(word, what)
        make_console().print(table)
    return 0
