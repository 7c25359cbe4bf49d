"""What `./inv test` starts: as many at a time as suit the machine, and every unit test in one process."""

from __future__ import annotations

import pytest

from tests.suite import _SECONDS, ROOT, divided, pytest_commands, suitable_workers, unit_tests

GIB = 1 << 30


@pytest.mark.parametrize(
    ("processors", "memory", "unit", "workers"),
    [
        pytest.param(2, 24 * GIB, False, 4, id="labs wait: two for each processor"),
        pytest.param(2, 24 * GIB, True, 2, id="unit tests compute"),
        pytest.param(8, 3 * GIB, False, 4, id="as many as there is memory for"),
        pytest.param(1, GIB // 4, False, 1, id="at least one"),
    ],
)
def test_as_many_workers_as_suit_the_machine(processors: int, memory: int, unit: bool, workers: int) -> None:
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
