"""What `./inv test` runs: the checks, as many tests at a time as suit the machine, each unit test once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from contextlib import ExitStack
from functools import partial

import pytest

from labs.wait import patient, poll_until
from tests.labs.support import processes_with
from tests.suite import (
    _SECONDS,
    QUICK_CHECKS,
    ROOT,
    TYPES,
    _Beside,
    divided,
    pytest_commands,
    suitable_workers,
    unit_tests,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("processors", "memory", "unit", "workers"),
    [
        pytest.param(2, 24 * GIB, False, 5, id="labs wait: five for two processors"),
        pytest.param(2, 24 * GIB, True, 3, id="unit tests compute: one per processor, and one"),
        pytest.param(8, 3 * GIB, False, 4, id="limited by memory"),
        pytest.param(1, GIB // 4, False, 1, id="at least one"),
    ],
)
def test_the_workers_suit_the_machine(processors: int, memory: int, unit: bool, workers: int) -> None:
    assert suitable_workers(processors, memory, unit=unit) == workers


def test_an_expression_stays_one_argument() -> None:
    for command in pytest_commands("a or b'; touch x", unit=True, workers=2):
        assert command[command.index("-k") + 1] == "a or b'; touch x"


def test_labs_and_unit_tests_run_apart_and_each_of_them_once() -> None:
    labs, *units = pytest_commands("", unit=False, workers=5)
    assert labs[-1] == "tests/labs"
    assert [word for unit in units for word in unit if word.endswith(".py")] == [
        f"tests/unit/{module}" for module in unit_tests()
    ]


_INTERRUPTED = """
import sys
from tests import suite
suite.QUICK_CHECKS = ()
suite.pytest_commands = lambda *_, **__: [["sh", "-c", "echo begun; sleep 60 & wait"], ["sleep", "60"]]
try:
    suite.run_suite()
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "\nInterrupted; what was running has been ended.\n"),
        (signal.SIGTERM, 143, ""),
    ],
)
def test_an_interrupt_ends_everything_that_was_started(
    number: signal.Signals, code: int, message: str
) -> None:
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert any(line == "begun\n" for line in process.stdout)
    process.send_signal(number)
    _, output = process.communicate(timeout=patient(20))
    assert (process.returncode, output) == (code, message)
    assert poll_until(lambda: processes_with(mark), lambda left: not left, 10) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may raise a priority (CAP_SYS_NICE)")
def test_what_ran_beside_the_labs_is_not_nice_after_them() -> None:
    nice = os.getpriority(os.PRIO_PROCESS, 0) + 5
    waits = f'until [ "$(nice)" -lt {nice} ]; do sleep 0.05; done'
    command = ("nice", "-n", "5", "timeout", "--foreground", f"{patient(20):.0f}", "sh", "-c", waits)
    with ExitStack() as stack:
        beside = _Beside(stack, command)
        group = beside.process.pid
        assert (
            poll_until(partial(os.getpriority, os.PRIO_PGRP, group), lambda found: found == nice, 10) == nice
        )
        beside.share_priority()
        assert beside.finish() == 0


def test_one_worker_is_this_process() -> None:
    (command,) = pytest_commands("", unit=False, workers=1)
    assert "-n" not in command


@pytest.mark.parametrize("number", [1, 2, 3, 16])
def test_every_unit_test_runs_in_one_of_the_processes(number: int) -> None:
    parts = divided(unit_tests(), number)
    assert len(parts) == number
    assert all(parts)
    modules = [module for part in parts for module in part]
    found = [str(file.relative_to(ROOT)) for file in (ROOT / "tests" / "unit").rglob("test_*.py")]
    assert sorted(modules) == sorted(found)
    assert "tests/unit/test_suite.py" in modules


def test_the_modules_known_to_be_slow_exist_and_are_spread() -> None:
    assert set(_SECONDS) <= set(unit_tests())
    slow = {f"tests/unit/{module}" for module in _SECONDS}
    assert all(slow & set(part) for part in divided(unit_tests(), 4))


def test_the_hooks_of_pre_commit_are_the_checks_of_the_suite() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"^ +entry: \.venv/bin/python -m (.+)$", hooks, re.MULTILINE)
    assert entries == [" ".join(check) for check in (*QUICK_CHECKS, TYPES)]
