from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import _LONGEST, _WHOLE, group, rank

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "tests/labs/test_terminal.py::test_"
PAGE = "tests/labs/test_documentation.py::test_{}[labs/vs_nat/README.md]"


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        pytest.param(
            "tests/unit/a.py::test_1", "tests/unit/a.py::test_2[x]", True, id="unit tests of one module"
        ),
        pytest.param("tests/unit/a.py::test_1", "tests/unit/b.py::test_1", False, id="two modules"),
        pytest.param(PAGE.format("prompt"), PAGE.format("table"), True, id="one page: they share a lab"),
        pytest.param(
            "tests/labs/a.py::test_1[x]", "tests/labs/b.py::test_1[x]", False, id="different modules"
        ),
        pytest.param(
            "tests/labs/a.py::test_1[x]", "tests/labs/a.py::test_1[y]", False, id="different parameters"
        ),
        pytest.param("tests/labs/a.py::test_1", "tests/labs/a.py::test_2", False, id="no parameters"),
        pytest.param(PROMPT + "1[x]", PROMPT + "2", True, id="a module whose tests share one lab"),
    ],
)
def test_tests_that_share_a_fixture_share_a_worker(one: str, other: str, together: bool) -> None:
    assert (group(one) == group(other)) == together


def test_the_modules_with_one_lab_exist() -> None:
    assert [name for name in _WHOLE if not (ROOT / name).exists()] == []


def test_the_longest_tests_start_first_and_unit_tests_last() -> None:
    tests = ["tests/unit/a.py::test_1", "tests/labs/a.py::test_1", "tests/labs/b.py::test_on_the_wire[x]"]
    assert sorted(tests, key=rank) == tests[::-1]


def test_the_tests_known_to_be_long_exist() -> None:
    text = {file.name: file.read_text() for file in (ROOT / "tests" / "labs").glob("test_*.py")}
    known = "\n".join(
        f"{file}::{name}"
        for file, code in text.items()
        for name in re.findall(r"^def (test_\w+)", code, re.M)
    )
    assert [name for name in _LONGEST if name.partition("[")[0] not in known] == []
