"""What became of each test so far, in a file: it outlives the machine that the tests ran in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FILE = "results.jsonl"  # in a run's folder


def begin(file: Path, tests: Iterable[str]) -> None:
    """Before the first test: the names of all of them."""
    file.write_text(json.dumps({"tests": list(tests)}) + "\n")


def add(file: Path, test: str, outcome: str, reason: str = "") -> None:
    """A test has ended: `passed`, `failed`, `skipped`, or `left` where there was no time for it."""
    with file.open("a") as stream:
        stream.write(json.dumps({"test": test, "outcome": outcome, "reason": reason}) + "\n")


def summary(file: Path) -> Iterator[str]:
    """For people: how many tests passed, which failed and why, which were skipped, which were not run."""
    entries = list(_entries(file))
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


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            yield json.loads(line)
        except ValueError:
            return  # the machine was ended while it wrote this line
