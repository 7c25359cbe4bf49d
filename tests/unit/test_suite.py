"""What `./inv test` runs: the checks, as many tests at a time as suit the machine, each unit test once."""

from __future__ import annotations

import re

import pytest

from tests.suite import (
    _SECONDS,
    QUICK_CHECKS,
    ROOT,
    TYPES,
    divided,
    pytest_commands,
    suitable_workers,
    unit_tests,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("processors", "memory", "unit", "workers"),
    [
        pytest.param(2, 24 * GIB, False, 4, id="labs wait: two per processor"),
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
