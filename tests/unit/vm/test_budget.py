"""The order of the tests, what fits into the time, and the results; in a real run of pytest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vm import budget, pace

ROOT = Path(__file__).resolve().parents[3]
TESTS = """\
import time
import pytest



@pytest.mark.rest
def test_rest(): pass

def test_core(): pass

@pytest.mark.changed
@pytest.mark.rest
def test_changed_rest(): pass

@pytest.mark.changed
def test_changed_core(): pass
"""
TEN = "pace.reference = lambda test: 10"  # seconds that each of them is expected to take
IN_ORDER = ["test_changed_core", "test_changed_rest", "test_core", "test_rest"]


def run(
    folder: Path, tests: str, plugin: str = "", *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin, at the pace of the reference machine; `plugin` is code to run first."""
    (folder / "test_these.py").write_text(tests)
    (folder / "reference_pace.py").write_text(
        f"from vm import budget, pace\npace.slowness = lambda: 1.0\n{TEN}\n{plugin}\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    changed\n    rest\n")
    plugins = ("pytest_timeout", "reference_pace", "vm.budget", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-v", *(f"-p{name}" for name in plugins), *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # the others take longer to import than these tests
            "PYTHONPATH": f"{ROOT}:{folder}",
            "LVS_RESULTS": str(folder / budget.RESULTS),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def outcomes(folder: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in (folder / budget.RESULTS).read_text().splitlines()]
    return [(line["test"].partition("::")[2], line["outcome"]) for line in lines[1:]]


def test_what_has_changed_comes_first_then_the_core_then_the_rest(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS, "pace.slowness = lambda: 3.0")
    assert done.returncode == 0, done.stdout
    assert outcomes(tmp_path) == [(name, "passed") for name in IN_ORDER]
    assert "4 tests will take about 2 min here (3.0 times as slow as the reference machine)." in done.stdout
    assert "no time left" not in done.stdout


SIDE_BY_SIDE = ("-pxdist.plugin", "-n2", "--dist=loadscope")


def test_side_by_side_they_take_half_as_long(tmp_path: Path) -> None:
    done = run(tmp_path, TESTS, "pace.slowness = lambda: 12.0", *SIDE_BY_SIDE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(outcomes(tmp_path)) == [(name, "passed") for name in sorted(IN_ORDER)]
    first = json.loads((tmp_path / budget.RESULTS).read_text().splitlines()[0])
    assert [test.partition("::")[2] for test in first["tests"]] == IN_ORDER
    assert "4 tests will take about 4 min here (12.0 times as slow as the reference machine)." in done.stdout


def test_side_by_side_tests_are_left_out_and_named_once(tmp_path: Path) -> None:
    (tmp_path / "test_others.py").write_text(TESTS)
    late = "budget.time = type('Clock', (), {'monotonic': staticmethod(iter(range(0, 10**6, 4)).__next__)})"
    done = run(tmp_path, TESTS, late, *SIDE_BY_SIDE, LVS_MINUTES="0.25")
    assert done.returncode == 0, done.stdout + done.stderr
    ended = outcomes(tmp_path)
    assert len(ended) == 8
    left = sum(outcome == "left" for _, outcome in ended)
    assert left >= 6
    assert f"no time left for these {left}" in done.stdout


def test_tests_that_are_left_out_are_named(tmp_path: Path) -> None:
    """Each is expected to take 10 s of 15, but the clock is too fast for a second one."""
    late = "budget.time = type('Clock', (), {'monotonic': staticmethod(iter(range(0, 10**6, 4)).__next__)})"
    done = run(tmp_path, TESTS, late, LVS_MINUTES="0.25")
    assert done.returncode == 0, done.stdout + done.stderr
    first, *others = IN_ORDER
    assert outcomes(tmp_path) == [(first, "passed"), *((name, "left") for name in others)]
    assert "there are 0.25 min: some will be left out" in done.stdout
    listed = done.stdout.partition("no time left for these 3")[2].splitlines()[1:4]
    assert listed == [f"test_these.py::{name}" for name in others]


def test_when_a_test_does_not_fit_the_rest_of_its_module_is_left_out(tmp_path: Path) -> None:
    costly = "def test_costly(): pass\ndef test_cheap(): pass\n"
    reference_pace = "pace.reference = lambda test: 600 if 'costly' in test else 1"
    (tmp_path / "test_before.py").write_text("def test_before(): pass\n")
    run(tmp_path, costly, reference_pace, LVS_MINUTES="5")
    assert outcomes(tmp_path) == [("test_before", "passed"), ("test_costly", "left"), ("test_cheap", "left")]


def test_a_test_that_hangs_fails_and_there_is_a_summary(tmp_path: Path) -> None:
    hangs = "import time\ndef test_1(): time.sleep(600)\ndef test_2(): pass\n"
    done = run(tmp_path, hangs, "budget.GRACE = 1", LVS_MINUTES="0.001")
    assert done.returncode == 1
    assert outcomes(tmp_path) == [("test_1", "failed"), ("test_2", "left")]
    assert "Timeout" in done.stdout
    assert "FAILED test_these.py::test_1" in done.stdout
    assert "no time left for these 1" in done.stdout


def test_a_test_keeps_a_shorter_limit_of_its_own(tmp_path: Path) -> None:
    hangs = "import time, pytest\n@pytest.mark.timeout(1)\ndef test_1(): time.sleep(600)\n"
    done = run(tmp_path, hangs, LVS_MINUTES="5")
    assert done.returncode == 1
    assert "Timeout (>1.0s)" in done.stdout


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (
            "    def test():\n>   assert 1 == 2\nE   assert 1 == 2\nE   more\n\nx.py:2: AssertionError",
            "assert 1 == 2",
        ),
        ("no E line\nthe last one\n", "the last one"),
        ("", ""),
    ],
)
def test_the_reason_of_a_failure(report: str, reason: str) -> None:
    assert budget.reason(report) == reason


def test_the_pace_follows_the_tests_so_far() -> None:
    test = pace._SECONDS[0][0]
    slow = pace.Pace(2)
    assert slow.expects(test) == pytest.approx(2 * pace.reference(test))
    for _ in range(20):
        slow.learn(test, 6 * pace.reference(test))
    assert 5 < slow.expects(test) / pace.reference(test) < 6


# ---- the file of results ----


def test_a_summary_names_what_failed_and_what_was_not_run(tmp_path: Path) -> None:
    file = tmp_path / budget.RESULTS
    budget.begin_results(file, ["a", "b", "c", "d", "e"])
    budget.add_result(file, "a", "passed")
    budget.add_result(file, "b", "failed", "E  two packets, not one")
    budget.add_result(file, "c", "skipped", "no tool")
    budget.add_result(file, "d", "left", "no time left")
    with file.open("a") as stream:
        stream.write('{"test": "e", "outc')  # the machine was ended here
    assert list(budget.summary(file)) == [
        "Of 5 tests 1 passed.",
        "  failed: b: E  two packets, not one",
        "  skipped: c: no tool",
        "  not run or not finished: d",
        "  not run or not finished: e",
    ]


def test_a_machine_that_ran_no_test(tmp_path: Path) -> None:
    assert list(budget.summary(tmp_path / budget.RESULTS)) == ["Of 0 tests 0 passed."]
