"""A plugin of pytest for `./inv vm-test`: which tests come first, and what is begun in the time there is.

What has changed comes first, then the core, then the rest (marks `changed` and `rest`). With LVS_MINUTES,
no test begins that is not expected to end in time, and one that takes far longer fails, so that
there is always a summary. It names each test that there was no time for. LVS_RESULTS is a file
(results.py) that tells the same if the machine is ended from outside.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from vm import pace, results

GRACE = 300.0  # seconds that the test in progress may take beyond LVS_MINUTES
_NO_TIME = "no time left"


def pytest_configure(config: pytest.Config) -> None:
    minutes = float(os.environ.get("LVS_MINUTES") or "inf")
    config.pluginmanager.register(Budget(60 * minutes, os.environ.get("LVS_RESULTS", os.devnull)))


def turn(item: pytest.Item) -> int:
    """Among what has changed, the core comes first, too."""
    changed, rest = (item.get_closest_marker(name) is not None for name in ("changed", "rest"))
    return (0 if rest else -1) - (2 if changed else 0)


def reason(told: str) -> str:
    """Of what pytest tells about a failure, the line that says what it was."""
    lines = told.strip().splitlines() or [""]
    return next((line for line in lines if line.startswith("E ")), lines[-1]).removeprefix("E ").strip()


class Budget:
    """`seconds` for all tests."""

    def __init__(self, seconds: float, file: str) -> None:
        self._seconds, self._file = seconds, Path(file)
        self._began = time.monotonic()
        self._pace = pace.Pace(1)
        self._begun = 0
        self._took: dict[str, float] = {}
        self._left: list[str] = []
        self._closed: set[str] = set()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=turn)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._pace = pace.Pace(pace.measured())
        self._began = time.monotonic()
        results.begin(self._file, [item.nodeid for item in session.items])

    def pytest_report_collectionfinish(self, items: Sequence[pytest.Item]) -> str:
        minutes = self._pace.expects(*(item.nodeid for item in items)) / 60
        told = f"{len(items)} tests will take about {max(minutes, 1):.0f} min here ({self._pace})"
        if minutes * 60 <= self._seconds:
            return f"{told}."
        return f"{told}; there are {self._seconds / 60:g} min: some will be left out."

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """The limit of the test in progress is what is left, unless its own is shorter."""
        left = self._began + self._seconds + GRACE - time.monotonic()
        own = item.get_closest_marker("timeout")
        if left < (own.args[0] if own and own.args else float("inf")):
            item.add_marker(pytest.mark.timeout(max(left, 1)), append=False)
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        left = self._began + self._seconds - time.monotonic()
        module = item.nodeid.partition("::")[0]
        if module in self._closed or (self._begun and self._pace.expects(item.nodeid) > left):
            self._closed.add(module)  # its next tests may need what this one would have started
            pytest.skip(_NO_TIME)
        self._begun += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = report.nodeid
        self._took[test] = self._took.get(test, 0) + report.duration
        if report.skipped and _NO_TIME in report.longreprtext:
            self._left.append(test)
            results.add(self._file, test, "left", _NO_TIME)
        elif report.when == "call" or not report.passed:
            results.add(self._file, test, report.outcome, reason(report.longreprtext))
        if report.when == "teardown" and test not in self._left:
            self._pace.learn(test, self._took[test])

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._left:
            terminalreporter.section(f"not run: no time left for these {len(self._left)}")
            for test in self._left:
                terminalreporter.line(test)
