"""A worksheet: a text file with blanks that a student fills in with an editor.

# comment
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

from classroom.model import WORKDIR, Variant
from labs.run.running import RunningLab

NAME = "answers.txt"
BLANK = "____"
_MAX_FILE = 65_536  # bytes
_MAX_ANSWER = 80  # characters kept of an answer
_HEADING = re.compile(r"\[(?P<name>[^][]+)\]\s*(#.*)?")


@dataclass(frozen=True, slots=True)
class Section:
    """A section: `cells` are label and value of each line; `note` is a comment of one or more lines."""

    name: str
    note: str
    cells: Mapping[str, str]


@dataclass(slots=True)
class Filled:
    """A worksheet's content: section -> label -> answer; `wrong` has a sentence for each malformed line."""

    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def text(head: str, sections: Sequence[Section]) -> str:
    """The worksheet as the student gets it."""
    return "\n".join([*_comment(head), *(line for section in sections for line in _lines(section))]) + "\n"


def _comment(note: str) -> Iterator[str]:
    for line in note.splitlines():
        yield f"# {line}".rstrip()


def _lines(section: Section) -> Iterator[str]:
    width = max(map(len, section.cells))
    yield from ("", f"[{section.name}]", *_comment(section.note))
    for label, value in section.cells.items():
        yield f"{label:<{width}} = {value}"


def answers(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """The probe: what the worksheet contains now."""
    return read(running.evidence.folder / WORKDIR / NAME).as_dict()


def read(file: Path) -> Filled:
    """The content of a file, which may be damaged in any way."""
    try:
        with file.open("rb") as source:
            lines = source.read(_MAX_FILE).decode(errors="replace").splitlines()
    except OSError as error:
        return Filled(wrong=[f"{file.name} cannot be read: {error.strerror}"])
    filled = Filled()
    section = ""
    for number, line in enumerate(map(str.strip, lines), 1):
        heading = _HEADING.fullmatch(line)
        if heading:
            section = _normalized(heading["name"])
        elif line and not line.startswith("#"):
            complaint = _add(filled.answers, section, line)
            filled.wrong += [f"line {number}: {complaint}"] if complaint else []
    return filled


def _add(answers: dict[str, dict[str, str]], section: str, line: str) -> str:
    """Add a line's answer; returns what is wrong with the line, or ""."""
    label, equals, answer = line.partition("=")
    label = _normalized(label)
    if not equals or not label:
        return f"expected LABEL = ANSWER, got {line[:_MAX_ANSWER]!r}"
    if not section:
        return f"no [heading] above {label!r}"
    known = answers.setdefault(section, {})
    if label in known:
        return f"a second {label!r} in [{section}]"
    known[label] = _normalized(answer.partition("#")[0])[:_MAX_ANSWER]
    return ""


def answer(filled: Mapping[str, Any], section: str, label: str) -> str | None:
    """The answer, "" if it is blank, None if its line is missing."""
    found = filled["answers"].get(section, {}).get(label)
    return None if found is None else str(found).strip("_ ")


def _normalized(words: str) -> str:
    return " ".join(words.split())
