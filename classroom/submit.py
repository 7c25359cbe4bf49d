"""`./inv submit`: asks for the diagnosis, shows the content, and writes the sealed file to hand in."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table
from rich.text import Text

from classroom import catalogue
from classroom.attached import attached
from classroom.checks import judged
from classroom.diagnosis import CAUSES, EVIDENCE, UNKNOWN, Diagnosis
from classroom.keys import is_practice_key, key_name, public_key
from classroom.submission import SUFFIX, Submission, sanitize, sealed
from classroom.variants import variant_for
from director.control.channel import Message
from labs.errors import BadRequest, Unable
from labs.terminal.exits import print_error
from labs.terminal.screen import busy, is_interactive, make_console, print_wrapped

_QUESTIONS = {
    "host": "Which host was it? If there are several, name one of them.",
    "cause": "What was the cause?",
    "evidence": "What settled it?",
}
_DONT_KNOW = {"0", "?", "idk", "unknown", "i don't know", "i dont know", "don't know", "dont know"}
_BACK = {"b", "back"}
_PRACTICE = (
    "PRACTICE KEY: this checkout belongs to no class. Anyone can open and forge this file, and your teacher "
    "cannot grade it: to hand in, use the archive that your teacher gave you."
)


class _GoBack(Exception):
    """The student wants to go back to the previous question."""


def submit(student: str, given: Mapping[str, str], output: str, called: str = "") -> int:
    """Write the file to hand in; `called` selects a lab by name; `given` are answers of the diagnosis."""
    lab = attached(student, called)
    name, owner = str(lab.about["exercise"]), str(lab.about["student"])
    file = Path(output or f"{name}-{owner}{SUFFIX}").absolute()
    if not file.parent.is_dir() or file.is_dir() or not os.access(file.parent, os.W_OK):
        raise BadRequest(f"{file} cannot be written: name a file in a folder of yours with --output.")
    answers, asked = dict(Diagnosis(**given).as_dict()), []
    if catalogue.load(name).diagnosis:
        choices = {"host": dict.fromkeys(lab.hosts, ""), "cause": CAUSES, "evidence": EVIDENCE}
        asked = _missing(answers, choices["host"])
        _ask(answers, asked, choices)
    with busy("checking the lab"):
        content = lab.ask("submit")
    while True:
        _show(name, owner, answers, content, file)
        if not asked:
            break
        typed = _typed("Enter writes it, b goes back, anything else cancels: ")
        if not typed:
            break
        if typed.lower() not in _BACK:
            raise Unable("Nothing was written: run ./inv submit again.")
        _ask(answers, asked, choices, len(asked) - 1)
    parts = {part: content[part] for part in ("seen", "state", "journal", "run", "facts")}
    submission = Submission(exercise=name, student=owner, diagnosis=answers, **parts)
    file.write_text(sealed(submission, public_key()))
    print_wrapped(make_console(), f"Written: {file}")
    make_console().print("Hand in this one file. A later ./inv submit replaces it.")
    return 0


# ---- the form ----


def _missing(answers: Mapping[str, str], hosts: Mapping[str, str]) -> list[str]:
    """The questions without an answer. Raises BadRequest for an unknown host, or if it cannot ask."""
    if answers["host"] not in ("", UNKNOWN, *hosts):
        raise BadRequest(f"--host {answers['host']!r} is unknown: choose from {', '.join(hosts)}.")
    missing = [name for name, word in answers.items() if not word]
    if missing and not is_interactive():
        raise BadRequest(
            f"The diagnosis is incomplete: add --{' and --'.join(missing)} "
            f"(./inv diagnosis lists the words to choose from; {UNKNOWN} says that you don't know)."
        )
    return missing


def _ask(
    answers: dict[str, str], asked: list[str], choices: Mapping[str, Mapping[str, str]], first: int = 0
) -> None:
    """Ask these questions, beginning with number `first`."""
    number = first
    while number < len(asked):
        name = asked[number]
        try:
            answers[name] = _choice(name, choices[name], can_go_back=number > 0)
            number += 1
        except _GoBack:
            number -= 1


def _choice(name: str, words: Mapping[str, str], *, can_go_back: bool) -> str:
    """The student's choice of a word, or UNKNOWN; right or wrong is not checked. Raises _GoBack."""
    console = make_console()
    console.print(_QUESTIONS[name])
    table = Table.grid(padding=(0, 0, 0, 2))
    for number, (word, what) in enumerate(words.items(), 1):
        table.add_row(str(number).rjust(2), word, what)
    table.add_row(" 0", "I don't know", "")
    console.print(table)
    while True:
        back = "; b goes back" if can_go_back else ""
        typed = _typed(f"Number or words{back}: ")
        if typed.lower() in _BACK:
            if can_go_back:
                raise _GoBack
            print_error("This is the first question; Ctrl-D cancels the form.")
            continue
        found = matches(typed, words)
        if len(found) == 1:
            return found[0]
        print_error(_complaint(typed, found, words))


def matches(typed: str, words: Mapping[str, str]) -> list[str]:
    """The words that match the typed text: a number, a word, or parts of a word and its meaning."""
    text = " ".join(typed.lower().replace("_", " ").replace("-", " ").split())
    if text in _DONT_KNOW:
        return [UNKNOWN]
    if text.isascii() and text.isdigit():
        return list(words)[int(text[:9]) - 1 : int(text[:9])]
    spoken = {word: f"{word.replace('_', ' ')} {what}".lower() for word, what in words.items()}
    exact = [word for word in words if word.replace("_", " ") == text]
    if exact or not text:
        return exact
    wanted = re.findall(r"\w+", text)
    return [
        word
        for word, says in spoken.items()
        if wanted and all(any(word.startswith(part) for word in re.findall(r"\w+", says)) for part in wanted)
    ]


def _complaint(typed: str, found: list[str], words: Mapping[str, str]) -> str:
    shown = sanitize(typed, 40)
    if found:
        return f"{shown!r} matches {len(found)} words, {', '.join(found[:4])}: type more of it, or a number."
    near = difflib.get_close_matches(typed.lower(), words, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{shown!r} is none of these: type a number from 0 to {len(words)}, or some of the words.{meant}"


def _typed(question: str) -> str:
    """The answer. Raises Unable on Ctrl-D or Ctrl-C."""
    try:
        return input(question).strip()
    except (EOFError, KeyboardInterrupt):
        raise Unable("\nNothing was written, because you cancelled: run ./inv submit again.") from None


# ---- the content ----


def _show(name: str, owner: str, answers: Mapping[str, str], content: Message, file: Path) -> None:
    """Show what will be sealed: exercise, student, class, checks, diagnosis, file."""
    console, key = make_console(), public_key()
    table = Table.grid(padding=(0, 0, 0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    checks = judged(catalogue.load(name).checks, content["seen"], variant_for(name, owner))
    entries = [entry["what"] for entry in content["journal"]]
    passed = sum(check.ok for check in checks)
    rows = [
        ("exercise", f"{name}: {catalogue.title(name)}"),
        ("student", owner),
        ("class", "none: the practice key" if is_practice_key(key) else key_name(key)),
        ("checks", f"{passed} of {len(checks)} pass now"),
        *(("", f"FAIL {check.name}: {check.observed}") for check in checks if not check.ok),
        *((word, _meaning(answers[word])) for word in answers if catalogue.load(name).diagnosis),
        ("journal", f"{len(entries)} entries, hints: {entries.count('hint')}"),
        ("file", f"{file}{', which is replaced' if file.exists() else ''}"),
    ]
    for left, right in rows:
        table.add_row(left, Text(right))
    console.print("The file will contain:")
    console.print(table)
    if is_practice_key(key):
        print_wrapped(console, _PRACTICE, "bold red")


def _meaning(word: str) -> str:
    """`counters (a counter that grows)`"""
    if word == UNKNOWN:
        return "I don't know"
    what = {**CAUSES, **EVIDENCE}.get(word, "")
    return f"{word} ({what})" if what else word
