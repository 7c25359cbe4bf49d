"""A check in an exercise that runs: what it found is told, also where it can't be written down."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from classroom.checks import judged
from classroom.journal import Journal
from classroom.probes import FAILED, look
from classroom.session import ExerciseSession, run
from classroom.variants import variant_for
from labs.checks.result import Check
from labs.errors import LabError


def session(folder: Path) -> ExerciseSession:
    """One without a lab, all of whose checks pass."""
    made: Any = ExerciseSession.__new__(ExerciseSession)
    made.evidence = SimpleNamespace(folder=folder)
    made.journal = Journal(folder)
    made.look = dict
    made.judge = lambda _seen: (Check("one", True, "x", "x"),)
    return made  # type: ignore[no-any-return]


def test_a_check_is_told_and_written_down(tmp_path: Path) -> None:
    answer = session(tmp_path).check()
    assert [one["ok"] for one in answer["checks"]] == [True]
    assert answer["unwritten"] == ""
    assert [entry["passed"] for entry in Journal(tmp_path).entries()] == [["one"]]


def test_a_check_that_can_not_be_written_down_is_told_with_that(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    answer = session(tmp_path).check()
    assert [one["ok"] for one in answer["checks"]] == [True]
    assert "No space left on device" in answer["unwritten"]


@pytest.mark.parametrize(("variable", "wrong"), [("LVS_PATIENCE", "no"), ("LVS_RUNS", "/dev/null")])
def test_nothing_is_told_of_an_exercise_that_can_not_begin(
    variable: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(LabError):
        run(variant_for("e04", "ada"), lambda _room: None, lambda: told.append("the symptom"))
    assert told == []


@pytest.mark.parametrize("error", [ZeroDivisionError("by a moon"), RecursionError("deep"), OSError(5, "I/O")])
def test_a_probe_or_a_check_that_raises_costs_no_other(error: Exception) -> None:
    def fails(*_: Any) -> Any:
        raise error

    def passes(*_: Any) -> Check:
        return Check("passes", True, "x", "x")

    nothing: Any = None
    assert FAILED in look(fails, nothing, nothing)
    judges: list[Any] = [fails, passes]
    for judge in judges:
        judge.probes = ()
    assert [check.ok for check in judged(judges, {}, nothing)] == [False, True]
