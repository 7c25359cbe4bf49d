"""Every exercise: with its fault exactly the promised checks fail, and the doctor names the cause; repaired
by its solution, or without the fault, every check passes and the doctor finds nothing.

By default each equivalent fault is tried once; of labs with two directors, which take three times as long,
one fault of each exercise (all of them with --long). LVS_STUDENTS=10 (./inv test --students 10) tries ten
students for each exercise, and every exercise without its fault as well.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from classroom import catalogue
from classroom.variants import variant_for
from tests.labs.forked import run_forked
from tests.labs.support import FROM_CHECKOUT, has_two_directors

TRIAL = Path(__file__).with_name("exercise_trial.py")
CANDIDATES = [f"s{number}" for number in range(1, 41)]
LONG = bool(os.environ.get("LVS_LONG"))
STUDENTS = int(os.environ.get("LVS_STUDENTS", "0"))
SLOWEST, SLOWEST_OF_TWO = 60.0, 180.0  # seconds from start to end, on an idle machine; with two directors

Told = dict[str, dict[str, Any]]  # state -> what exercise_trial.py prints of it


def students(name: str) -> list[str]:
    """Enough students to meet each equivalent fault once, or LVS_STUDENTS."""
    if STUDENTS:
        return CANDIDATES[:STUDENTS]
    first: dict[object, str] = {}
    for student in CANDIDATES:
        variant = variant_for(name, student)
        first.setdefault(variant.number if variant.number is not None else variant.method, student)
    found = list(first.values())
    return found if LONG or not has_two_directors(name) else found[:1]


def states(name: str) -> tuple[str, ...]:
    """Where something is to be made, the solution leads to the healthy lab; elsewhere, the repair does."""
    return ("healthy", "fault") if STUDENTS or not catalogue.faults(name) else ("fault",)


TRIALS = [
    (name, student, state)
    for name in catalogue.names()
    for number, student in enumerate(students(name))
    for state in states(name)
    if state == "fault" or number == 0 or STUDENTS
]


def _trial(runs: Path, name: str, student: str, state: str) -> Told:
    environment = {**FROM_CHECKOUT, "LVS_RUNS": str(runs)}
    limit = SLOWEST_OF_TWO if has_two_directors(name) else SLOWEST
    done = run_forked(TRIAL, (name, student, state), environment, limit)
    assert done.stdout, done.stderr
    report = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {trial["state"]: trial for trial in report}


def failed(report: dict[str, Any]) -> dict[str, str]:
    """The checks that failed, and what was observed instead."""
    return {name: check["observed"] for name, check in report["checks"].items() if not check["ok"]}


@pytest.mark.parametrize(("name", "student", "state"), TRIALS, ids=map("-".join, TRIALS))
def test_an_exercise(name: str, student: str, state: str, runs: Path) -> None:
    report = _trial(runs, name, student, state)
    if state == "healthy":
        assert failed(report["healthy"]) == {}
        assert report["healthy"]["causes"] == []
        return
    variant = variant_for(name, student)
    solution = catalogue.solutions(name)[variant.number or 0]
    assert sorted(failed(report["fault"])) == sorted(solution.fails), failed(report["fault"])
    assert failed(report["mended"]) == {}
    if solution.cause:
        causes = report["fault"]["causes"]
        assert {cause["cause"] for cause in causes} == {solution.cause}, causes
        assert {cause["host"] for cause in causes} <= set(variant.hosts(solution.host))
        assert report["mended"]["causes"] == []
