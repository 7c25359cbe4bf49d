"""Lines of JSON that are read while they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.run.json_lines import append, entries


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    assert list(entries(file)) == []
    for number in range(3):
        append(file, {"number": number, "text": "two\nlines"})
    assert [entry["number"] for entry in entries(file)] == [0, 1, 2]


@pytest.mark.parametrize("damage", ["{", "[1]", "a warning", "\x00", "", "[" * 100_000])
def test_other_lines_are_skipped(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "lines.jsonl"
    append(file, {"number": 1})
    with file.open("a") as lines:
        lines.write(damage + "\n")
    append(file, {"number": 2})
    assert [entry["number"] for entry in entries(file)] == [1, 2]


@pytest.mark.parametrize("cut", ['{"number": 2', '{"number": 2}'])
def test_a_line_without_its_end_is_still_being_written(tmp_path: Path, cut: str) -> None:
    file = tmp_path / "lines.jsonl"
    append(file, {"number": 1})
    with file.open("a") as lines:
        lines.write(cut)
    assert list(entries(file)) == [{"number": 1}]
