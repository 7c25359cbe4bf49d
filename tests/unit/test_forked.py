"""What runs in a fork has a deadline that follows the speed of the machine."""

from __future__ import annotations

import subprocess

import pytest

from tests.labs.forked import run_forked
from tests.labs.support import FROM_CHECKOUT

WAITS = "import time; time.sleep(2); print('done')"


def test_a_machine_that_becomes_slow_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.wait.slowness", lambda: 10_000.0)
    assert run_forked(WAITS, (), FROM_CHECKOUT, 0.1).stdout == "done\n"


def test_what_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labs.wait.slowness", lambda: 1.0)
    with pytest.raises(subprocess.TimeoutExpired):
        run_forked("import time; time.sleep(3600)", (), FROM_CHECKOUT, 0.1)
