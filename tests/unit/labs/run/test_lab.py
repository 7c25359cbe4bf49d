"""Unforeseen errors lose neither checks nor the result."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from director.control.channel import ChannelError
from labs.checks.result import Check
from labs.plan import plan_for
from labs.run import lab
from labs.run.evidence import Evidence
from labs.run.options import LabOptions
from labs.run.report import Report
from labs.terminal.reporter import ConsoleReporter
from realserver_setup.apply import Result


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    namespace = SimpleNamespace(evidence=Evidence("lab-nat"), plan=plan_for("nat", LabOptions()), second=None)
    namespace.parts = (namespace,)
    return namespace


def fine(_running: Any) -> Check:
    return Check("fine", True, "x", "x")


def unforeseen(_running: Any) -> Check:
    raise ValueError("not enough values to unpack (expected 2, got 1)")


def overdue(_running: Any) -> Check:
    raise subprocess.TimeoutExpired(["curl"], 90)


def test_a_check_that_raises_loses_no_other_result(running: Any) -> None:
    results = lab._check(running, ConsoleReporter(quiet=True), [fine, unforeseen, overdue, fine])
    checks = [check for _, check in results]
    assert [(check.name, check.ok) for check in checks] == [
        *(("fine", True), ("unforeseen", False), ("overdue", False), ("fine", True))
    ]
    assert checks[1].observed == "ValueError: not enough values to unpack (expected 2, got 1)"
    assert "90" in checks[2].observed
    kept = running.evidence.log("checks").read_text()
    assert "in unforeseen" in kept
    assert "in overdue" not in kept  # foreseen: its sentence is all there is to know


@pytest.mark.parametrize("error", [ChannelError("no answer"), KeyError("services"), OSError(24, "Too many")])
def test_a_director_with_strange_answers_loses_no_result(running: Any, error: Exception) -> None:
    def ask() -> Any:
        raise error

    running.directors = [SimpleNamespace(connections_by_server=ask)]
    counted, lost = lab._connections(running)
    assert counted == {}
    assert [check.ok for _, check in lost] == [False]


def a_report(folder: Path) -> Report:
    plan = plan_for("nat", LabOptions(servers=1))
    return Report(plan, "scapy", "wrr", (), (), (), {}, (), folder)


def test_a_report_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    report = a_report(tmp_path)
    assert report.written(tmp_path / "report.json") == ""
    message = report.written(Path("/dev/full"))
    assert message == "The report could not be written to /dev/full: No space left on device."


def test_a_command_that_cannot_be_recorded_is_reported_at_the_end(running: Any) -> None:
    evidence = running.evidence
    evidence.command("c1", ["true"], None, Result(0, "", ""))
    assert evidence.missing() == ""
    evidence._commands.unlink()
    evidence._commands.symlink_to("/dev/full")
    evidence.command("c1", ["true"], None, Result(0, "", ""))
    assert "No space left on device" in evidence.missing()
    assert "LVS_RUNS" in evidence.missing()
