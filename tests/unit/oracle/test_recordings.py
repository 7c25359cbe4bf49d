"""Our core with its Scapy engine does what kernel IPVS did: packets byte for byte, tables step by step.

What kernel IPVS did is recorded in oracle/recorded; `./inv vm-test --record` records it anew.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from labs.methods import METHODS
from oracle import recordings
from oracle.compare import Difference, differences
from oracle.ours import Ours
from oracle.play import play

ROOT = Path(__file__).resolve().parents[3]
LISTED = set(re.findall(r"^### (\S+)$", (ROOT / "docs" / "differences.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("kind", recordings.KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_we_do_what_the_kernel_did(method: str, kind: str) -> None:
    unknown, gone = [], []
    for recorded in recordings.read(recordings.path(method, kind)):
        scenario = recorded.scenario
        found = list(differences(scenario, play(scenario, recorded.place, Ours(method)), recorded.answers))
        unknown += [_told(scenario.name, method, one) for one in found if one.known not in LISTED]
        gone += [f"{scenario.name}: {name}" for name in scenario.said - {one.known for one in found}]
    assert not unknown, f"{len(unknown)} differences that nobody has listed, among them\n{unknown[0]}"
    assert not gone, f"listed, but the kernel does the same as we now: {gone}"


def _told(name: str, method: str, one: Difference) -> str:
    return f"{name} ({method}), {one}\nIn both at once: ./inv vm-test --replay '{name} ({method})'"


@pytest.mark.parametrize("kind", recordings.KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_what_was_recorded_is_what_is_there_now(method: str, kind: str) -> None:
    recorded = {one.scenario.name: one for one in recordings.read(recordings.path(method, kind))}
    for scenario, place in recordings.wanted(method, kind):
        assert scenario.name in recorded, f"{scenario.name} is new: ./inv vm-test --record"
        one = recorded.pop(scenario.name)
        assert (one.scenario, one.place) == (scenario, place), f"{scenario.name}: ./inv vm-test --record"
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
