"""Our core with its Scapy engine does what kernel IPVS did: packets byte for byte, tables step by step.

What kernel IPVS did is recorded in oracle/recorded; `./inv vm-test --record` records it anew.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from labs.methods import METHODS
from oracle import recordings
from oracle.compare import Difference, differences
from oracle.in_process import InProcessDirector
from oracle.play import play
from oracle.recordings import Made, Recorded

ROOT = Path(__file__).resolve().parents[3]
LISTED = set(re.findall(r"^### (\S+)$", (ROOT / "docs" / "differences.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("kind", recordings.KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_the_director_does_what_the_kernel_did(method: str, kind: str) -> None:
    unknown, gone = [], []
    for recorded in recordings.read(recordings.path(method, kind)):
        scenario = recorded.scenario
        ours = play(scenario, recorded.place, InProcessDirector(method))
        found = list(differences(scenario, ours, recorded.answers))
        unknown += [
            _described(scenario.name, method, difference)
            for difference in found
            if difference.known not in LISTED
        ]
        gone += [
            f"{scenario.name}: {name}" for name in scenario.said - {difference.known for difference in found}
        ]
    assert not unknown, (
        f"{len(unknown)} differences are not listed in docs/differences.md, among them\n{unknown[0]}"
    )
    assert not gone, f"declared, but the kernel does the same now: {gone}"


def _described(name: str, method: str, difference: Difference) -> str:
    return f"{name} ({method}), {difference}\nBoth side by side: ./inv vm-test --replay '{name} ({method})'"


@pytest.mark.parametrize("kind", recordings.KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_the_recordings_match_the_scenarios(method: str, kind: str) -> None:
    recorded = {entry.scenario.name: entry for entry in recordings.read(recordings.path(method, kind))}
    for scenario, place in recordings.wanted(method, kind):
        assert scenario.name in recorded, f"{scenario.name} is new: ./inv vm-test --record"
        entry = recorded.pop(scenario.name)
        assert (entry.scenario, entry.place) == (scenario, place), f"{scenario.name}: ./inv vm-test --record"
    assert not recorded, f"recorded, but gone: {sorted(recorded)}; ./inv vm-test --record"


def test_every_listed_difference_is_shown_by_a_scenario_or_a_test() -> None:
    shown = set()
    for method in METHODS:
        for scenario, _ in recordings.wanted(method, "written"):
            shown |= scenario.said
    for test in (ROOT / "tests").rglob("test_*.py"):
        shown |= set(re.findall(r"# differs: ([a-z-]+)", test.read_text()))
    assert shown == LISTED


def test_the_standard_run_is_large_enough() -> None:
    opened: Counter[str] = Counter()
    for method in METHODS:
        for scenario, _ in recordings.wanted(method, "generated"):
            ends = {step.number for step in scenario.steps if step.kind == "c"}
            opened[method] += len(ends)
            opened[scenario.name.split()[0]] += len(ends)
    assert min(opened[method] for method in METHODS) >= 2000
    assert min(count for name, count in opened.items() if name not in METHODS) >= 200


# ---- what is recorded again ----

NOW = Made("player", "6.1")


@pytest.fixture(scope="module")
def all_recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    for method, kind in recordings.every():
        entries = [Recorded(scenario, place, [], NOW) for scenario, place in recordings.wanted(method, kind)]
        recordings.write(recordings.path(method, kind, folder), entries)
    return folder


@pytest.fixture
def recorded(tmp_path: Path, all_recorded: Path) -> Path:
    """A folder of recordings made by the player and kernel of NOW."""
    return shutil.copytree(all_recorded, tmp_path / "recorded")


def rewritten(folder: Path, changes: dict[str, Recorded | None]) -> None:
    """Change the entries of nat's hand-written scenarios; None removes one."""
    file = recordings.path("nat", "written", folder)
    entries = [changes.get(entry.scenario.name, entry) for entry in recordings.read(file)]
    recordings.write(file, [entry for entry in entries if entry])


def test_every_scenario_is_in_one_batch() -> None:
    batched = [scenario for batch in recordings.batches() for scenario, _ in recordings.in_batch(batch)]
    wanted = [
        scenario for method, kind in recordings.every() for scenario, _ in recordings.wanted(method, kind)
    ]
    assert sorted(map(str, batched)) == sorted(map(str, wanted))
    assert len(set(map(str, recordings.batches()))) == len(recordings.batches())


def test_unchanged_scenarios_are_not_recorded_again(recorded: Path) -> None:
    assert recordings.changed(NOW, recorded) == {}


@pytest.mark.parametrize("now", [Made("another", "6.1"), Made("player", "6.12")])
def test_another_player_or_kernel_outdates_everything(recorded: Path, now: Made) -> None:
    assert list(recordings.changed(now, recorded)) == recordings.batches()


def test_a_changed_scenario_is_recorded_alone(recorded: Path) -> None:
    file = recordings.path("nat", "written", recorded)
    first, second, third, *_ = recordings.read(file)
    changes = {
        first.scenario.name: replace(first, scenario=first.scenario.without({0})),
        second.scenario.name: None,
        third.scenario.name: replace(third, made=Made("player", "6.0")),
    }
    rewritten(recorded, changes)
    (names,) = recordings.changed(NOW, recorded).values()
    assert names == list(changes)


def test_new_recordings_replace_old_ones(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = recordings.path("nat", "written", recorded)
    before = recordings.read(file)
    old, missing, *others = before
    rewritten(recorded, {missing.scenario.name: None})
    new = tmp_path_factory.mktemp("new")
    again = [replace(before, made=Made("player", "6.2")) for before in (missing, old)]
    recordings.write(new / "nat-written-errors.json.xz", again)
    assert recordings.merge(new, recorded) == 2
    assert recordings.read(file) == [again[1], again[0], *others]
    (untouched,) = {entry.made for entry in recordings.read(recordings.path("dr", "written", recorded))}
    assert untouched == NOW


def test_a_recording_without_a_fingerprint_is_outdated(recorded: Path) -> None:
    (entry, *_) = recordings.read(recordings.path("nat", "written", recorded))
    assert not recordings.holds(replace(entry, made=Made()), entry.scenario, entry.place, NOW)
    assert not recordings.holds(None, entry.scenario, entry.place, NOW)
