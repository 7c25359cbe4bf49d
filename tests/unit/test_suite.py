from __future__ import annotations

import pytest

from tests.suite import pytest_command, suitable_workers

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
    command = pytest_command("a or b'; touch x", unit=True, workers=2)
    assert command[-2:] == ["-k", "a or b'; touch x"]
    assert "tests/unit" in command


def test_one_worker_is_this_process() -> None:
    assert "-n" not in pytest_command("", unit=False, workers=1)
