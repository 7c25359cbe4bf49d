"""A pytest plugin for `./inv vm-test`: the order of tests, what fits into the time, and the results so far.

Tests of what has changed come first, then the core, then the rest (marks `changed` and `rest`). With
LVS_MINUTES, no test starts that is not expected to end in time, and one that takes far longer fails, so
that there is always a summary; it names the tests that were left out. LVS_RESULTS is a file with the result
of each test so far: it is outside the machine, and remains when the machine is ended.

With pytest-xdist, each worker decides what fits into the time, at its own pace; the process that has started
them makes the forecast and writes the results.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labs.run import json_lines
from vm import pace

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

GRACE = 300.0  # seconds that the running test may take beyond LVS_MINUTES
RESULTS = "results.jsonl"  # in a run's folder
_NO_TIME = "no time left"


def pytest_configure(config: pytest.Config) -> None:
    minutes = float(os.environ.get("LVS_MINUTES") or "inf")
    is_worker = hasattr(config, "workerinput")
    results = os.devnull if is_worker else os.environ.get("LVS_RESULTS", os.devnull)
    config.pluginmanager.register(Budget(60 * minutes, results))


def order(item: pytest.Item) -> int:
    """The rank of a test; among those of what has changed, the core comes first, too."""
    changed, rest = (item.get_closest_marker(name) is not None for name in ("changed", "rest"))
    return (0 if rest else -1) - (2 if changed else 0)


def reason(report: str) -> str:
    """The line of pytest's report on a failure that names the error."""
    lines = report.strip().splitlines() or [""]
    return next((line for line in lines if line.startswith("E ")), lines[-1]).removeprefix("E ").strip()


class Budget:
    """`seconds` for all tests."""

    def __init__(self, seconds: float, file: str) -> None:
        self._seconds, self._file = seconds, Path(file)
        self._began = time.monotonic()
        self._pace = pace.Pace(1)
        self._started = self._workers = 0
        self._took: dict[str, float] = {}
        self._left_out: list[str] = []
        self._closed_modules: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=order)

    @pytest.hookimpl(tryfirst=True)  # before the reporter asks for the forecast
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._begin([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)  # only pytest-xdist calls it
    def pytest_xdist_node_collection_finished(self, node: WorkerController, ids: Sequence[str]) -> None:
        """All workers collect the same tests."""
        if not self._workers:
            self._begin(ids)
        self._workers += 1
        if self._workers == node.config.getvalue("numprocesses"):
            reporter = node.config.pluginmanager.getplugin("terminalreporter")
            reporter.write_line(f"\n{self._forecast(ids)}")

    def _begin(self, tests: Sequence[str]) -> None:
        self._pace = pace.Pace(pace.slowness())
        self._began = time.monotonic()
        begin_results(self._file, tests)

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> str:
        return self._forecast([item.nodeid for item in items])

    def _forecast(self, tests: Sequence[str]) -> str:
        minutes = self._pace.expects(*tests) / 60 / max(self._workers, 1)
        forecast = f"{len(tests)} tests will take about {max(minutes, 1):.0f} min here ({self._pace})"
        if minutes * 60 <= self._seconds:
            return f"{forecast}."
        return f"{forecast}; there are {self._seconds / 60:g} min: some will be left out."

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Set a test's timeout to the time that is left, unless its own is shorter."""
        left = self._began + self._seconds + GRACE - time.monotonic()
        own = item.get_closest_marker("timeout")
        if left < (own.args[0] if own and own.args else float("inf")):
            item.add_marker(pytest.mark.timeout(max(left, 1)), append=False)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        left = self._began + self._seconds - time.monotonic()
        module = item.nodeid.partition("::")[0]
        if module in self._closed_modules or (self._started and self._pace.expects(item.nodeid) > left):
            self._closed_modules.add(module)  # its next tests may need what this one would have started
            pytest.skip(_NO_TIME)
        self._started += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = report.nodeid
        self._took[test] = self._took.get(test, 0) + report.duration
        if report.skipped and _NO_TIME in report.longreprtext:
            self._left_out.append(test)
            add_result(self._file, test, "left", _NO_TIME)
        elif report.when == "call" or not report.passed:
            add_result(self._file, test, report.outcome, reason(report.longreprtext))
        if report.when == "teardown" and test not in self._left_out:
            self._pace.learn(test, self._took[test])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._left_out:
            terminalreporter.section(f"not run: no time left for these {len(self._left_out)}")
            for test in self._left_out:
                terminalreporter.line(test)


# ---- the file of results ----


def begin_results(file: Path, tests: Iterable[str]) -> None:
    """The names of all tests, before the first one starts."""
    file.write_text(json.dumps({"tests": list(tests)}) + "\n")


def add_result(file: Path, test: str, outcome: str, reason: str = "") -> None:
    """`outcome` is `passed`, `failed`, `skipped`, or `left` if there was no time for the test."""
    json_lines.append(file, {"test": test, "outcome": outcome, "reason": reason})


def summary(file: Path) -> Iterator[str]:
    """Lines: how many tests passed; which failed and why; which were skipped; which were not run."""
    entries = list(json_lines.entries(file))  # without the line at which the machine was ended
    tests: list[str] = next((entry["tests"] for entry in entries if "tests" in entry), [])
    ended = {entry["test"]: entry for entry in entries if "test" in entry}
    left = [test for test in tests if test not in ended or ended[test]["outcome"] == "left"]
    passed = sum(entry["outcome"] == "passed" for entry in ended.values())
    yield f"Of {len(tests)} tests {passed} passed."
    for outcome in ("failed", "skipped"):
        yield from (
            f"  {outcome}: {test}: {entry['reason']}"
            for test, entry in ended.items()
            if entry["outcome"] == outcome
        )
    yield from (f"  not run or not finished: {test}" for test in left)
