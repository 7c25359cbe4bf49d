"""What happened in an exercise."""

from __future__ import annotations

from pathlib import Path

from classroom.journal import FILE, Journal


def test_entries_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("started", student="ada")
    journal.write("hint", number=1)
    entries = Journal(tmp_path).entries()
    assert [entry["what"] for entry in entries] == ["started", "hint"]
    assert entries[0]["student"] == "ada"
    assert entries[0]["at"] <= entries[1]["at"]
    assert journal.count("hint") == 1


def test_there_is_none_yet(tmp_path: Path) -> None:
    assert Journal(tmp_path).entries() == []


def test_lines_that_are_cut_or_no_entries_are_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.write("started")
    with (tmp_path / FILE).open("a") as file:
        file.write('[1]\n{"at": 1}\n{"at": 17, "wha')
    assert [entry["what"] for entry in journal.entries()] == ["started"]
