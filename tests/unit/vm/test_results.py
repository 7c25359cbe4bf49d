"""What is known of the tests when the machine was ended from outside."""

from __future__ import annotations

from pathlib import Path

from vm import results


def test_a_summary_names_what_failed_and_what_was_not_run(tmp_path: Path) -> None:
    file = tmp_path / results.FILE
    results.begin(file, ["a", "b", "c", "d", "e"])
    results.add(file, "a", "passed")
    results.add(file, "b", "failed", "E  two packets, not one")
    results.add(file, "c", "skipped", "no tool")
    results.add(file, "d", "left", "no time left")
    with file.open("a") as stream:
        stream.write('{"test": "e", "outc')  # the machine was ended here
    assert list(results.summary(file)) == [
        "Of 5 tests 1 passed.",
        "  failed: b: E  two packets, not one",
        "  skipped: c: no tool",
        "  not run or not finished: d",
        "  not run or not finished: e",
    ]


def test_a_machine_that_never_got_so_far(tmp_path: Path) -> None:
    assert list(results.summary(tmp_path / results.FILE)) == ["Of 0 tests 0 passed."]
