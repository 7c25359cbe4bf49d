"""What kernel IPVS has answered, kept as files: our director is held against it without a kernel that has it.

Each holds the scenarios of one method, those that were written by hand or those of the standard
run of generate.py, with their lines: whoever changes a scenario has to record it anew.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs.methods import METHODS
from oracle import generate, scenario
from oracle.play import Answer, Entry, Load
from oracle.scenario import Scenario
from oracle.site import Place

FOLDER = Path(__file__).with_name("recorded")
KINDS = ("written", "generated")
_FIRST_WRITTEN = 100  # the place of the first scenario that was written by hand


@dataclass(frozen=True)
class Recorded:
    """A scenario where it was played, and what the kernel said at each of its steps."""

    scenario: Scenario
    place: Place
    answers: list[Answer]


def wanted(method: str, kind: str) -> Iterator[tuple[Scenario, Place]]:
    """The scenarios of a recording, each with its place; all of one method have different ones."""
    if kind == "generated":
        places, scenarios = 0, generate.standard(method)
    else:
        written = scenario.hand_written()
        places, scenarios = _FIRST_WRITTEN, [one for one in written if one.method == method]
    return ((one, Place(number)) for number, one in enumerate(scenarios, start=places))


def path(method: str, kind: str, folder: Path = FOLDER) -> Path:
    return folder / f"{method}-{kind}.json.xz"


def every() -> Iterator[tuple[str, str]]:
    """Method and kind of each recording."""
    return ((method, kind) for method in METHODS for kind in KINDS)


def write(file: Path, recorded: Iterable[Recorded]) -> None:
    entries = [
        {
            "name": one.scenario.name,
            "method": one.scenario.method,
            "lines": one.scenario.lines,
            "place": one.place.number,
            "answers": [plain(answer) for answer in one.answers],
        }
        for one in recorded
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(file, "wt", encoding="ascii") as stream:
        json.dump(entries, stream, separators=(",", ":"))


def read(file: Path) -> list[Recorded]:
    with lzma.open(file, "rt", encoding="ascii") as stream:
        entries = json.load(stream)
    return [
        Recorded(
            Scenario(entry["name"], entry["method"], tuple(entry["lines"])),
            Place(entry["place"]),
            [answer(each) for each in entry["answers"]],
        )
        for entry in entries
    ]


def plain(answer: Answer) -> list[Any]:
    """An answer, ready for JSON; `answer` reads it back."""
    frames = [[side, frame.hex()] for side, frame in answer.out]
    return [frames, answer.connections, answer.servers]


def answer(entry: list[Any]) -> Answer:
    frames, connections, servers = entry
    return Answer(
        tuple((side, bytes.fromhex(frame)) for side, frame in frames),
        _each(connections, Entry),
        _each(servers, Load),
    )


def _each(entries: Mapping[str, list[Any] | None], kind: Any) -> dict[str, Any]:
    return {name: None if values is None else kind(*values) for name, values in entries.items()}
