"""Answers of kernel IPVS, kept as files, to compare our director with on a kernel without IPVS.

Each file has the scenarios of one method: the hand-written ones, or those of the standard run of
generate.py. An entry has the scenario's lines, the answers, the fingerprint of the player and the kernel's
release. If any of these has changed, it is recorded again.

Scenarios are run in batches: a file of scenarios, or a scheduler, in one method.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from labs.methods import METHODS
from oracle import fingerprint, generate, json_xz
from oracle.play import Answer, Entry, Load
from oracle.scenario import Scenario, hand_written
from oracle.site import Place

FOLDER = Path(__file__).with_name("recorded")
KINDS = ("written", "generated")
_FIRST_WRITTEN = 100  # the place of the first hand-written scenario


class Made(NamedTuple):
    """How answers were recorded: the player's fingerprint, and the kernel (`uname -r`)."""

    player: str = ""
    kernel: str = ""


_UNKNOWN = Made()


@dataclass(frozen=True)
class Recorded:
    """A scenario, its place, and the kernel's answer at each step."""

    scenario: Scenario
    place: Place
    answers: list[Answer]
    made: Made = _UNKNOWN


class Batch(NamedTuple):
    """Scenarios that are run together; `name` is a file of scenarios/ or a scheduler."""

    method: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.method}-{self.name}"


def wanted(method: str, kind: str) -> Iterator[tuple[Scenario, Place]]:
    """The scenarios of a recording with their places, which differ within a method."""
    return iter(_wanted(method, kind))


@cache
def _wanted(method: str, kind: str) -> tuple[tuple[Scenario, Place], ...]:
    if kind == "generated":
        places, scenarios = 0, generate.standard(method)
    else:
        places = _FIRST_WRITTEN
        scenarios = [scenario for scenario in hand_written() if scenario.method == method]
    return tuple((scenario, Place(number)) for number, scenario in enumerate(scenarios, start=places))


def batches() -> list[Batch]:
    """All batches: for each method the hand-written ones, then its schedulers."""
    written = {(scenario.method, _batch_of(scenario)) for scenario in hand_written()}
    found = []
    for method in METHODS:
        found += [Batch(method, "written", name) for own, name in sorted(written) if own == method]
        found += [Batch(method, "generated", name) for name in generate.SCHEDULERS]
    return found


def in_batch(batch: Batch) -> list[tuple[Scenario, Place]]:
    """The scenarios of a batch."""
    return [
        (scenario, place)
        for scenario, place in wanted(batch.method, batch.kind)
        if _batch_of(scenario) == batch.name
    ]


def _batch_of(scenario: Scenario) -> str:
    """`states: A server that refuses` belongs to states, `wlc 1999/3` to wlc."""
    return scenario.name.replace(":", " ").split()[0]


def made_now(kernel: str = "") -> Made:
    """How answers would be recorded now; `kernel` is a release, by default the running one."""
    return Made(fingerprint.player(), kernel or os.uname().release)


def changed(made: Made, folder: Path = FOLDER) -> dict[Batch, list[str]]:
    """The scenarios to record again, by batch: new ones, and changes of their text, player or kernel."""
    found: dict[Batch, list[str]] = {}
    kept = {(method, kind): _kept(path(method, kind, folder)) for method, kind in every()}
    for batch in batches():
        before = kept[batch.method, batch.kind]
        names = [
            scenario.name
            for scenario, place in in_batch(batch)
            if not holds(before.get(scenario.name), scenario, place, made)
        ]
        if names:
            found[batch] = names
    return found


def holds(before: Recorded | None, scenario: Scenario, place: Place, made: Made) -> bool:
    """Whether an earlier recording is still valid."""
    return before is not None and (before.scenario, before.place, before.made) == (scenario, place, made)


def merge(new: Path, folder: Path = FOLDER) -> int:
    """Add the batches recorded in the folder `new`; returns the number of scenarios."""
    count = 0
    for method, kind in every():
        fresh = {
            entry.scenario.name: entry
            for file in new.glob(f"{method}-{kind}-*.json.xz")
            for entry in read(file)
        }
        file = path(method, kind, folder)
        before = _kept(file)
        names = [scenario.name for scenario, _ in wanted(method, kind)]
        if fresh or before.keys() - set(names):
            known = {**before, **fresh}
            write(file, [known[name] for name in names if name in known])
        count += len(fresh)
    return count


def _kept(file: Path) -> dict[str, Recorded]:
    return {entry.scenario.name: entry for entry in read(file)} if file.exists() else {}


def path(method: str, kind: str, folder: Path = FOLDER) -> Path:
    return folder / f"{method}-{kind}.json.xz"


def every() -> Iterator[tuple[str, str]]:
    """Method and kind of each recording."""
    return ((method, kind) for method in METHODS for kind in KINDS)


def write(file: Path, recorded: Iterable[Recorded]) -> None:
    entries = [
        {
            "name": entry.scenario.name,
            "method": entry.scenario.method,
            "lines": entry.scenario.lines,
            "place": entry.place.number,
            **entry.made._asdict(),
            "answers": [plain(answer) for answer in entry.answers],
        }
        for entry in recorded
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    json_xz.write(entries, file)


def read(file: Path) -> list[Recorded]:
    return [
        Recorded(
            Scenario(entry["name"], entry["method"], tuple(entry["lines"])),
            Place(entry["place"]),
            [answer(state) for state in entry["answers"]],
            Made(entry.get("player", ""), entry.get("kernel", "")),
        )
        for entry in json_xz.read(file)
    ]


def plain(answer: Answer) -> list[Any]:
    """An answer as JSON values; `answer` reads it back."""
    frames = [[side, frame.hex()] for side, frame in answer.out]
    return [frames, answer.connections, answer.servers]


def answer(entry: list[Any]) -> Answer:
    frames, connections, servers = entry
    return Answer(
        tuple((side, bytes.fromhex(frame)) for side, frame in frames),
        _typed(connections, Entry),
        _typed(servers, Load),
    )


def _typed(entries: Mapping[str, list[Any] | None], kind: Any) -> dict[str, Any]:
    return {name: None if values is None else kind(*values) for name, values in entries.items()}
