"""A running exercise: its journal, and checks that report also what cannot be recorded."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from classroom.checks import FAILED, judged, observe
from classroom.journal import JOURNAL, Journal
from classroom.session import ExerciseSession, run
from classroom.variants import variant_for
from labs.checks.result import Check
from labs.errors import LabError


def session(folder: Path) -> ExerciseSession:
    """A session without a lab, whose checks all pass."""
    made: Any = ExerciseSession.__new__(ExerciseSession)
    made.evidence = SimpleNamespace(folder=folder)
    made.journal = Journal(folder)
    made.observe = dict
    made.judge = lambda _observations: (Check("one", True, "x", "x"),)
    return made  # type: ignore[no-any-return]


def test_a_check_is_reported_and_recorded(tmp_path: Path) -> None:
    answer = session(tmp_path).check()
    assert [check["ok"] for check in answer["checks"]] == [True]
    assert answer["unwritten"] == ""
    assert [entry["passed"] for entry in Journal(tmp_path).entries()] == [["one"]]


def test_a_check_that_cannot_be_recorded_is_still_reported(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").symlink_to("/dev/full")
    answer = session(tmp_path).check()
    assert [check["ok"] for check in answer["checks"]] == [True]
    assert "No space left on device" in answer["unwritten"]


@pytest.mark.parametrize(("variable", "wrong"), [("LVS_PATIENCE", "no"), ("LVS_RUNS", "/dev/null")])
def test_an_exercise_that_cannot_start_is_not_introduced(
    variable: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(LabError):
        run(variant_for("e04", "ada"), lambda _session: None, lambda: messages.append("the symptom"))
    assert messages == []


@pytest.mark.parametrize("error", [ZeroDivisionError("by a moon"), RecursionError("deep"), OSError(5, "I/O")])
def test_an_exception_in_a_probe_or_check_affects_no_other(error: Exception) -> None:
    def fails(*_: Any) -> Any:
        raise error

    def passes(*_: Any) -> Check:
        return Check("passes", True, "x", "x")

    nothing: Any = None
    assert FAILED in observe(fails, nothing, nothing)
    judges: list[Any] = [fails, passes]
    for judge in judges:
        judge.probes = ()
    assert [check.ok for check in judged(judges, {}, nothing)] == [False, True]


# ---- the journal ----


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("started", student="ada")
    journal.write("hint", number=1)
    entries = Journal(tmp_path).entries()
    assert [entry["what"] for entry in entries] == ["started", "hint"]
    assert entries[0]["student"] == "ada"
    assert entries[0]["at"] <= entries[1]["at"]
    assert journal.count("hint") == 1


def test_a_new_journal_is_empty(tmp_path: Path) -> None:
    assert Journal(tmp_path).entries() == []


def test_damaged_lines_are_skipped(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("started")
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('[1]\n{"at": 1}\n{"at": 17, "wha')
    assert [entry["what"] for entry in journal.entries()] == ["started"]
