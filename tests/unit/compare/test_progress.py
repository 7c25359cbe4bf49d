"""The time left in the progress bar."""

from __future__ import annotations

import time

import pytest

from compare.progress import Progress
from labs.terminal.screen import make_console


def test_a_bar_knows_its_place_by_the_name_of_the_step() -> None:
    progress = Progress({"one": 10.0, "two": 30.0})
    assert progress.seconds == 40
    assert progress.left("two", 15)[0] == pytest.approx(25 / 40)


def test_a_step_counts_for_its_planned_time_at_most() -> None:
    progress = Progress({"one": 10.0, "two": 30.0})
    assert progress.left("one", 500)[0] == pytest.approx(10 / 40)


def test_the_time_left_follows_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began)
    progress = Progress({"one": 10.0, "two": 30.0})
    monkeypatch.setattr(time, "monotonic", lambda: began + 20)  # the first step took twice its time
    assert progress.left("two", 0)[1] == pytest.approx(60)


def test_finished_steps_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress({"one": 1.0}).step("one") as output:
        output.append("found something")
    assert "done" in (shown := capsys.readouterr().out)
    assert "found something" in shown


def test_long_notes_stay_beside_the_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(make_console, "__defaults__", (80,))
    with Progress({"VS-DR, a server near": 1.0}).step("VS-DR, a server near") as notes:
        notes.append("near: works, without a tunnel device: works, without ARP control: does not")
    first, *more = capsys.readouterr().out.rstrip().splitlines()
    assert first.startswith("  done  VS-DR, a server near")
    assert more
    assert all(line.startswith(" " * first.index("near: works")) for line in more)
