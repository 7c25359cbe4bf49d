"""Every exercise three ways: healthy it passes every check; with its fault it fails exactly what is
promised, and the doctor names the cause; mended by its solution it passes again.

By default each of an exercise's equivalent faults is played once; LVS_STUDENTS=10 (./inv test --students 10)
plays ten students each. Two labs run at a time: most of an exercise is waiting for what does not come.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from classroom import catalogue
from classroom.case import case_for
from tests.labs.support import FROM_CHECKOUT

TRIAL = Path(__file__).with_name("exercise_trial.py")
CANDIDATES = [f"s{number}" for number in range(1, 41)]
STUDENTS = int(os.environ.get("LVS_STUDENTS", "0"))
SLOWEST = 60.0  # seconds for an exercise from start to end, on a machine that does nothing else

Told = dict[str, dict[str, Any]]  # state -> what exercise_trial.py tells of it


def students(name: str) -> list[str]:
    """So many that each of the equivalent faults is met once, or as many as are asked for."""
    if STUDENTS:
        return CANDIDATES[:STUDENTS]
    first: dict[object, str] = {}
    for student in CANDIDATES:
        case = case_for(name, student)
        first.setdefault(case.fault if case.fault is not None else case.method, student)
    return list(first.values())


PLAYED = [
    (name, student, state)
    for name in catalogue.names()
    for number, student in enumerate(students(name))
    for state in ("healthy", "fault")
    if state == "fault" or number == 0 or STUDENTS
]
IDS = ["-".join(one) for one in PLAYED]


@pytest.fixture(scope="module")
def trials(request: pytest.FixtureRequest, runs: Path) -> Iterator[dict[tuple[str, ...], Future[Told]]]:
    """The trials that this run of pytest asks for, started in order, two at a time."""
    chosen = [play for play, its_id in zip(PLAYED, IDS, strict=True) if _is_chosen(its_id, request.session)]
    with ThreadPoolExecutor(2) as pool:
        yield {play: pool.submit(_trial, runs, *play) for play in chosen}
        pool.shutdown(cancel_futures=True)


def _is_chosen(its_id: str, session: pytest.Session) -> bool:
    return any(item.name == f"test_an_exercise[{its_id}]" for item in session.items)


def _trial(runs: Path, name: str, student: str, state: str) -> Told:
    done = subprocess.run(
        [sys.executable, str(TRIAL), name, student, state],
        env={**FROM_CHECKOUT, "LVS_RUNS": str(runs)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SLOWEST * float(os.environ.get("LVS_PATIENCE", "1")),
    )
    assert done.stdout, done.stderr
    told = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    return {one["state"]: one for one in told}


def failed(told: dict[str, Any]) -> dict[str, str]:
    """The checks that did not pass, and what was seen instead."""
    return {name: check["observed"] for name, check in told["checks"].items() if not check["ok"]}


@pytest.mark.timeout(1200)  # it waits for those before it
@pytest.mark.parametrize("play", PLAYED, ids=IDS)
def test_an_exercise(play: tuple[str, str, str], trials: dict[tuple[str, ...], Future[Told]]) -> None:
    name, student, state = play
    told = trials[play].result()
    if state == "healthy":
        assert failed(told["healthy"]) == {}
        assert told["healthy"]["causes"] == []
        return
    case = case_for(name, student)
    solution = catalogue.solutions(name)[case.fault or 0]
    assert sorted(failed(told["fault"])) == sorted(solution.fails), failed(told["fault"])
    assert failed(told["mended"]) == {}
    if solution.cause:
        assert {one["cause"] for one in told["fault"]["causes"]} == {solution.cause}, told["fault"]["causes"]
        assert {one["host"] for one in told["fault"]["causes"]} <= set(case.hosts(solution.host))
        assert told["mended"]["causes"] == []
