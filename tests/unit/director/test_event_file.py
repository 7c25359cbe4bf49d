from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from director import event_file
from director.core.events import Event
from director.event_file import EventFile

Write = Callable[[int, bytes], int]


def event(number: int = 0) -> Event:
    return Event("new", 1.0, {"number": number})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Trial:
    """A file with a clock and a disk that the test controls."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self.now = 100.0
        self.file = EventFile(self.path, lambda: self.now)

    def write(self, count: int = 1) -> None:
        for number in range(count):
            self.file.write(event(number))


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def test_events_are_lines(trial: Trial) -> None:
    trial.write(2)
    assert lines(trial.path) == [event(0).as_dict(), event(1).as_dict()]


def test_a_flood_of_events_is_bounded_and_counted(trial: Trial) -> None:
    trial.write(event_file.BURST + 30_000)
    assert len(lines(trial.path)) == event_file.BURST
    trial.now += 1
    trial.write()
    lost, last = lines(trial.path)[-2:]
    assert (lost["kind"], lost["count"], last["kind"]) == ("lost", 30_000, "new")
    assert "events a second" in lost["why"]


def test_the_size_of_the_file_is_bounded(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_file, "MAX_SIZE", 1000)
    trial.write(100)
    assert trial.path.stat().st_size < 1100
    assert trial.file.lost > 50
    again = EventFile(trial.path, lambda: trial.now)  # the next director counts what is there
    again.write(event())
    assert again.lost == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF])
def test_events_that_cannot_be_written_are_counted_and_writing_is_retried(
    trial: Trial, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0

    def refuse(_descriptor: int, _line: bytes) -> int:
        nonlocal tried
        tried += 1
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.write", refuse)
    trial.write(1000)
    assert (trial.file.lost, tried) == (1000, 1)  # a second's peace for the disk
    monkeypatch.undo()
    trial.now += 1
    trial.write()
    assert [(line["kind"], line.get("count")) for line in lines(trial.path)] == [
        ("lost", 1000),
        ("new", None),
    ]
    assert lines(trial.path)[0]["why"] == os.strerror(number)


def test_an_incomplete_line_is_removed(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    trial.write()
    real: Write = os.write
    monkeypatch.setattr("os.write", lambda descriptor, line: real(descriptor, line[:5]))
    trial.write()
    monkeypatch.undo()
    trial.now += 1
    trial.write()
    assert [line["kind"] for line in lines(trial.path)] == ["new", "lost", "new"]


def test_a_pipe_without_a_reader_blocks_nothing(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with EventFile(pipe, lambda: 0.0) as file:
        for number in range(10_000):
            file.write(event(number))
        assert file.lost > 1000
        os.close(reader)
        file.write(event())


def test_events_lost_at_the_end_are_counted(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_file, "BURST", 0)
    with EventFile(trial.path, lambda: 0.0) as file:
        file.write(event())
    assert lines(trial.path)[-1]["count"] == 1
