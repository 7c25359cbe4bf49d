"""Parses a lesson (labs/vs_*/README.md), so that tests can compare what it shows with a run.

The kind of a fence says what it contains: `script` has lines of set-up scripts, each script under its name;
`output` has lines of a lab's run; `mininet` has lines typed at the prompt and the answers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ELLIPSIS = "..."
_PROMPT = "mininet> "
_MAC = re.compile(r"(?P<mac>(?:[0-9a-f]{2}:){5}[0-9a-f]{2}) \((?P<interface>\S+)\)")
# Addresses, MACs and names stay; other numbers differ from run to run, except that 0 stays 0.
_LOOSE = re.compile(
    r"(?P<same>(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|\d+\.\d+\.\d+\.\d+|[A-Za-z][\w-]*)|(?P<number>\d+(?:\.\d+)?)"
)
_NEIGHBOUR = re.compile(r"\b(REACHABLE|STALE|DELAY|PROBE)\b")


@dataclass(frozen=True, slots=True)
class Typed:
    """A line typed at Mininet's prompt, and the answer that the page shows."""

    command: str
    shown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lesson:
    """The page about one method."""

    page: Path

    @property
    def method(self) -> str:
        """As in `./inv lab-METHOD`."""
        return self.page.parent.name.removeprefix("vs_")

    def fences(self, kind: str) -> Iterator[list[str]]:
        for body in re.findall(rf"^```{kind}\n(.*?)^```", self.page.read_text(), re.MULTILINE | re.DOTALL):
            yield body.splitlines()

    def script_lines(self) -> Iterator[tuple[str, str]]:
        """Yields (name of a script, a line of it); a comment `# NAME` precedes its lines."""
        for fence in self.fences("script"):
            name = ""
            for line in fence:
                if line.startswith("# "):
                    name = line.removeprefix("# ")
                elif line:
                    yield name, line

    def output(self) -> list[str]:
        return [line for fence in self.fences("output") for line in fence]

    def typed(self) -> Iterator[Typed]:
        for fence in self.fences("mininet"):
            for part in "\n".join(["", *fence]).split(f"\n{_PROMPT}")[1:]:
                command, *shown = part.splitlines()
                yield Typed(command, tuple(shown))

    def packets(self) -> list[dict[str, str]]:
        """The rows of the packet table, with the field names of report.json and bare MACs."""
        blocks = self.page.read_text().split("\n\n")
        header, _, *lines = next(block for block in blocks if block.startswith("| packet |")).splitlines()
        names = [cell.replace(" ", "_").lower() for cell in _cells(header)]
        rows = [dict(zip(names, _cells(line), strict=True)) for line in lines]
        return [{name: _MAC.sub(r"\g<mac>", cell) for name, cell in row.items() if cell} for row in rows]

    def named_macs(self) -> dict[str, str]:
        """The interface of each MAC, according to the packet table."""
        return {found["mac"]: found["interface"] for found in _MAC.finditer(self.page.read_text())}


def _cells(line: str) -> list[str]:
    return [cell.strip(" `") for cell in line.strip("|").split("|")]


def loosely(line: str) -> str:
    """The line without what differs from run to run: numbers, column widths, states of neighbours."""
    line = _NEIGHBOUR.sub("SEEN", re.sub(r"@if\d+", "@if", line))
    return " ".join(_LOOSE.sub(_without_numbers, re.sub(r"[│|]", " ", line)).split())


def _without_numbers(found: re.Match[str]) -> str:
    return found["same"] or ("0" if float(found["number"]) == 0 else "N")


def missing(shown: Iterable[str], printed: str) -> list[str]:
    """The lines shown that were not printed; order does not matter, repetition does.

    A line `...` stands for omitted lines, `...` at the end of a line for the rest of it.
    """
    left = Counter(map(loosely, printed.splitlines()))
    absent = []
    for line in filter(None, map(str.strip, shown)):
        if line == ELLIPSIS:
            continue
        found = next((candidate for candidate in left if _is(line, candidate) and left[candidate]), None)
        if found is None:
            absent.append(line)
        else:
            left[found] -= 1
    return absent


def _is(shown: str, printed: str) -> bool:
    if shown.endswith(ELLIPSIS):
        return printed.startswith(loosely(shown.removesuffix(ELLIPSIS)))
    return printed == loosely(shown)
