"""What was handed in is found wherever learning platforms put it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from classroom.grading.intake import handed_in
from classroom.submission import LARGEST, Refused
from labs.errors import BadRequest


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_subfolders_too(tmp_path: Path) -> None:
    fill(tmp_path, "b.lvs", "Ada Lovelace_7_file_/e04-ada.lvs", "x/y/C.LVS", "notes.txt", "x/._b.lvs")
    found = {one.file: one.read() for one in handed_in(tmp_path)}
    assert list(found) == ["Ada Lovelace_7_file_/e04-ada.lvs", "b.lvs", "x/y/C.LVS"]
    assert found["b.lvs"] == b"b.lvs"


def test_one_file_by_its_name(tmp_path: Path) -> None:
    fill(tmp_path, "b.lvs", "c.lvs")
    assert [one.file for one in handed_in(tmp_path / "b.lvs")] == ["b.lvs"]


def test_a_zip_is_looked_into(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("submission_1/e04-ada.lvs", "one")
        archive.writestr("submission_1/__MACOSX/._e04-ada.lvs", "resource")
        archive.writestr("submission_metadata.yml", "x")
    (found,) = handed_in(tmp_path)
    assert (found.file, found.read()) == ("export.zip/submission_1/e04-ada.lvs", b"one")
    assert len(handed_in(tmp_path / "export.zip")) == 1


def test_a_broken_zip_is_refused_not_left_out(tmp_path: Path) -> None:
    fill(tmp_path, "export.zip")
    (found,) = handed_in(tmp_path)
    with pytest.raises(Refused, match="ZIP"):
        found.read()


def test_a_zip_that_holds_something_huge_takes_no_memory(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("huge.lvs", b" " * (3 * LARGEST))
    (found,) = handed_in(tmp_path)
    assert len(found.read()) == LARGEST + 1


def test_a_file_that_vanishes_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "b.lvs")
    (found,) = handed_in(tmp_path)
    (tmp_path / "b.lvs").unlink()
    with pytest.raises(Refused, match="can't be read"):
        found.read()


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no folder"):
        handed_in(tmp_path / "nowhere")
    (tmp_path / "folder.lvs").mkdir()
    with pytest.raises(BadRequest, match="no evidence"):
        handed_in(tmp_path)
