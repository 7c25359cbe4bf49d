"""An answers file: lines that a student completes with any editor, and what is read from it.

# for people
[wlc]
1 c1 stays open = rs1
2 c1 closes     = ____
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NAME = "answers.txt"
BLANK = "____"
_LARGEST = 65_536  # bytes of a file
_LONGEST = 80  # characters that are kept of an answer
_HEADING = re.compile(r"\[(?P<name>[^][]+)\]\s*(#.*)?")


@dataclass(frozen=True, slots=True)
class Section:
    """`cells`: what stands left of each `=`, and right of it; `note` is one comment, or several lines."""

    name: str
    note: str
    cells: Mapping[str, str]


@dataclass(slots=True)
class Filled:
    """What was read: section -> label -> answer; `wrong` are sentences about lines that are no answers."""

    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def text(head: str, sections: Sequence[Section]) -> str:
    """The file, as the student gets it."""
    return "\n".join([*_comment(head), *(line for section in sections for line in _lines(section))]) + "\n"


def _comment(note: str) -> Iterator[str]:
    for line in note.splitlines():
        yield f"# {line}".rstrip()


def _lines(section: Section) -> Iterator[str]:
    width = max(map(len, section.cells))
    yield from ("", f"[{section.name}]", *_comment(section.note))
    for label, value in section.cells.items():
        yield f"{label:<{width}} = {value}"


def read(file: Path) -> Filled:
    """What a file says, whatever was done to it."""
    try:
        with file.open("rb") as source:
            lines = source.read(_LARGEST).decode(errors="replace").splitlines()
    except OSError as error:
        return Filled(wrong=[f"{file.name} can't be read: {error.strerror}"])
    filled = Filled()
    section = ""
    for number, line in enumerate(map(str.strip, lines), 1):
        heading = _HEADING.fullmatch(line)
        if heading:
            section = _plain(heading["name"])
        elif line and not line.startswith("#"):
            complaint = _take(filled.answers, section, line)
            filled.wrong += [f"line {number}: {complaint}"] if complaint else []
    return filled


def _take(answers: dict[str, dict[str, str]], section: str, line: str) -> str:
    """Keep a line's answer; or what is wrong with it."""
    label, equals, answer = line.partition("=")
    label = _plain(label)
    if not equals or not label:
        return f"expected LABEL = ANSWER, got {line[:_LONGEST]!r}"
    if not section:
        return f"{label!r} is in no section: a [heading] is missing above it"
    known = answers.setdefault(section, {})
    if label in known:
        return f"{label!r} is there a second time in [{section}]"
    known[label] = _plain(answer.partition("#")[0])[:_LONGEST]
    return ""


def answer(filled: Mapping[str, Any], section: str, label: str) -> str | None:
    """The answer, "" for a blank one, None where its line is missing."""
    found = filled["answers"].get(section, {}).get(label)
    return None if found is None else str(found).strip("_ ")


def _plain(words: str) -> str:
    return " ".join(words.split())
