"""A lab that is interrupted or killed leaves nothing, and the next one works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable

import pytest

from labs.wait import patient, poll_until
from tests.labs.support import Finished, processes_with

Start = Callable[..., subprocess.Popen[str]]


def interfaces() -> set[str]:
    listed = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True)
    return {line.split(": ")[1] for line in listed.stdout.splitlines()}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_whenever_a_lab_is_stopped(
    start: Start, mark: str, number: signal.Signals, seed: int
) -> None:
    before = interfaces()
    for moment in sorted(random.Random(seed).uniform(0.1, 3.0) for _ in range(3)):
        lab = start("lab-nat", mark=mark)
        try:
            lab.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            os.killpg(lab.pid, number) if number == signal.SIGINT else lab.send_signal(number)
        lab.communicate(timeout=patient(20))
        assert poll_until(lambda: processes_with(mark), lambda left: not left, 10) == []
    assert interfaces() == before


def test_a_lab_started_at_once_after_a_kill_works(
    start: Start, mark: str, run_lab: Callable[..., Finished]
) -> None:
    lab = start("lab-dr", mark=mark)
    assert poll_until(lambda: processes_with(mark), lambda results: len(results) > 5, 20)
    lab.kill()
    lab.communicate(timeout=patient(20))
    after = run_lab("lab-dr", checks="as_scheduled")
    assert after.code == 0, after.output
