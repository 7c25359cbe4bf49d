"""What a student types: start an exercise, open a shell in it, check it, ask for a hint, hand it in."""

from __future__ import annotations

import difflib
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from classroom import catalogue
from classroom.diagnosis import CAUSES, EVIDENCE, Diagnosis
from classroom.keys import public_key
from classroom.model import Variant
from classroom.submission import SUFFIX, Submission, sanitize, sealed
from classroom.variants import default_student, variant_for
from director.control.channel import Message
from labs.checks.result import Check
from labs.errors import BadRequest, Unable
from labs.run import attach
from labs.run.attach import AttachedLab
from labs.terminal.exits import print_error
from labs.terminal.screen import WIDE, busy, check_table, is_interactive, make_console, table_box

_COMMANDS = {
    "./inv shell HOST": "a shell on a host of the lab: {hosts}",
    "./inv check": "what works and what does not, as often as you like",
    "./inv hint": "the next hint",
    "./inv submit": "write the file to hand in",
}


def exercise(name: str, student: str) -> int:
    """Start an exercise and keep it running in this terminal."""
    variant = variant_for(name, student or default_student())
    for other in attach.running_labs():
        if _is(other, variant):
            other.require_awake()
            raise BadRequest(
                f"{other} is already running, in {other.folder}: end it first, with exit in its terminal."
            )
    from classroom.session import run  # imports all that builds a lab

    return run(variant, _stay, lambda: _introduce(variant))


def overview() -> int:
    """All exercises, in order."""
    table = Table(box=table_box(), title="Exercises: ./inv exercise NAME --student ID", title_justify="left")
    for column in ("name", "title", "lab"):
        table.add_column(column)
    for name in catalogue.names():
        methods = " or ".join(f"VS-{method.upper()}" for method in catalogue.load(name).methods)
        table.add_row(name, catalogue.title(name), methods)
    make_console().print(table)
    return 0


def _introduce(variant: Variant) -> None:
    _print_markdown(variant.filled(catalogue.text(variant.exercise)))
    make_console().print()


def _print_markdown(text: str) -> None:
    from rich.markdown import Markdown  # takes 0.05 s, and few commands print a text

    make_console().print(Markdown(text))


def _stay(session: Any) -> None:
    """Stay at Mininet's prompt until the student leaves it or, without a terminal, until a signal comes."""
    variant: Variant = session.variant
    console = make_console()
    hosts = " ".join(session.running.network.hosts)
    console.print("The lab is running. In another terminal:")
    for command, purpose in _COMMANDS.items():
        console.print(f"  {command:<18} {purpose.format(hosts=hosts)}", soft_wrap=True)
    console.print(f"Set-up scripts (you may edit them): {session.evidence.scripts}", soft_wrap=True)
    for file in sorted(session.workdir.glob("*")):
        console.print(f"Your file to edit: {file}", soft_wrap=True)
    console.print(f"Exercise {variant.exercise} of {variant.student} has begun.", soft_wrap=True)
    sys.stdout.flush()
    if is_interactive():
        console.print("Type commands for any host here, too (c1 ping -c1 d); exit or Ctrl-D ends the lab.")
        session.running.network.prompt()
    else:
        signal.pause()


def _is(lab: AttachedLab, variant: Variant) -> bool:
    return (lab.about.get("exercise"), lab.about.get("student")) == (variant.exercise, variant.student)


def attached(student: str = "", lab: str = "", *, exercise: bool = True) -> AttachedLab:
    """The running lab: the only one, the student's, or the one called `lab`. Raises LabError."""
    running = list(attach.running_labs())
    known = [one for one in running if "exercise" in one.about or not exercise]
    found = attach.pick(known, student, lab)
    if found is None:
        reason = attach.none_running(running, student, lab, "exercise" if exercise else "lab")
        advice = "" if running else f": {_how_to_start(exercise=exercise)}"
        raise Unable(f"{reason}{advice}.{attach.inaccessible_hint()}")
    return found


def _how_to_start(*, exercise: bool) -> str:
    """How to start the last exercise again, or any."""
    if again := attach.restart_command():
        return f"the last one has ended (it was left, or its terminal was closed); {again} starts it again"
    return "start one with ./inv exercise NAME --student ID" + (
        "" if exercise else ", or ./inv lab-nat --cli"
    )


def check(student: str, lab: str = "") -> int:
    """Show the result of every check; exit code 0 if all passed, else 1."""
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
    """A shell on a host of the running lab; returns its exit code."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadRequest(f"--command {command!r}: {error}; quote it as in a shell.") from None
    found = attached(student, lab, exercise=False)
    if "exercise" in found.about:
        found.ask("note", entry="shell", details={"host": host, "command": command})
    return attach.shell(found, host, words)


def submit(student: str, answers: Diagnosis, output: str, called: str = "") -> int:
    """Write the file to hand in; `called` selects a lab by name."""
    lab = attached(student, called)
    name, owner = str(lab.about["exercise"]), str(lab.about["student"])
    file = Path(output or f"{name}-{owner}{SUFFIX}").absolute()
    if not file.parent.is_dir() or file.is_dir() or not os.access(file.parent, os.W_OK):
        raise BadRequest(f"--output {output}: cannot write there; name a file in a folder of yours.")
    given = answers
    if catalogue.load(name).diagnosis:
        answers = _asked(given, list(lab.hosts))
    with busy("checking the lab"):
        content = lab.ask("submit")
    if is_interactive():
        _show(f"{name} of {owner}", answers, content, file)
    if answers != given and _typed("Enter writes it; anything else cancels: "):
        raise Unable("Nothing was written. ./inv submit asks again.")
    parts = {part: content[part] for part in ("seen", "state", "journal", "run", "facts")}
    submission = Submission(exercise=name, student=owner, diagnosis=answers.as_dict(), **parts)
    file.write_text(sealed(submission, public_key()))
    make_console().print(f"Written: {file}", soft_wrap=True)
    make_console().print("Hand in this one file. A later ./inv submit replaces it.")
    return 0


def _asked(answers: Diagnosis, hosts: list[str]) -> Diagnosis:
    """The diagnosis; on a terminal, missing answers are asked for. Raises BadRequest."""
    if answers.host and answers.host not in hosts:
        raise BadRequest(f"--host {answers.host!r} is unknown: choose from {', '.join(hosts)}.")
    given = answers.as_dict()
    choices = {"host": dict.fromkeys(hosts, ""), "cause": CAUSES, "evidence": EVIDENCE}
    missing = [name for name, word in given.items() if not word]
    if missing and not is_interactive():
        raise BadRequest(
            f"The diagnosis is incomplete: add --{' and --'.join(missing)} "
            "(./inv diagnosis lists the words to choose from)."
        )
    for name in missing:
        given[name] = _choice(name, choices[name])
    return Diagnosis(**given)


def _choice(name: str, words: dict[str, str]) -> str:
    """One of the words, chosen by number or by itself; whether it is right is not checked."""
    console = make_console()
    console.print(
        {"host": "Which host was it?", "cause": "What was the cause?"}.get(name, "What settled it?")
    )
    table = Table.grid(padding=(0, 0, 0, 2))
    for number, (word, what) in enumerate(words.items(), 1):
        table.add_row(str(number).rjust(2), word, what)
    console.print(table)
    while True:
        typed = _typed(f"Number, 1 to {len(words)}, or {name}: ")
        if typed in words:
            return typed
        if typed.isascii() and typed.isdigit() and 1 <= int(typed[:9]) <= len(words):
            return list(words)[int(typed) - 1]
        near = difflib.get_close_matches(typed.lower(), words, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        shown = sanitize(typed, 40)
        print_error(f"{shown!r} is not one of these: type a number from 1 to {len(words)}, or a word.{meant}")


def _show(title: str, answers: Diagnosis, content: Message, file: Path) -> None:
    """Show what is about to be sealed."""
    entries = [entry["what"] for entry in content["journal"]]
    rows = {
        "exercise": title,
        **{name: word for name, word in answers.as_dict().items() if word},
        "the lab": "what the checks and the doctor observe in it now",
        "the journal": f"{len(entries)} entries, {entries.count('hint')} of them hints",
    }
    table = Table.grid(padding=(0, 0, 0, 2))
    for row in rows.items():
        table.add_row(*row)
    make_console().print("This is what will be sealed:")
    make_console().print(table)
    make_console().print(f"{'To be replaced' if file.exists() else 'To be written'}: {file}", soft_wrap=True)


def _typed(question: str) -> str:
    """The answer. Raises Unable on Ctrl-D or Ctrl-C."""
    try:
        return input(question).strip()
    except (EOFError, KeyboardInterrupt):
        raise Unable("\nNothing was written: the form was cancelled. ./inv submit asks again.") from None


def words() -> int:
    """List the words of a diagnosis."""
    for title, known in (("--cause", CAUSES), ("--evidence", EVIDENCE)):
        table = Table(box=table_box(), title=title, title_justify="left")
        table.add_column("word")
        table.add_column("meaning")
        for word, what in known.items():
            table.add_row(word, what)
        make_console().print(table)
    return 0
