"""Submissions are found wherever learning platforms put them, and by whom they were handed in."""

from __future__ import annotations

import os
import random
import zipfile
from base64 import b64encode
from pathlib import Path

import pytest

from classroom.grading import collect
from classroom.grading.collect import Account, account_of, own_account, submitted_files
from classroom.submission import LARGEST, Refused
from labs.errors import BadRequest


def fill(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_subfolders_are_searched(tmp_path: Path) -> None:
    fill(tmp_path, "b.lvs", "Ada Lovelace_7_file_/e04-ada.lvs", "x/y/C.LVS", "notes.txt", "x/._b.lvs")
    found = {file.file: file.read() for file in submitted_files(tmp_path)}
    assert list(found) == ["Ada Lovelace_7_file_/e04-ada.lvs", "b.lvs", "x/y/C.LVS"]
    assert found["b.lvs"] == b"b.lvs"


def test_a_single_file(tmp_path: Path) -> None:
    fill(tmp_path, "b.lvs", "c.lvs")
    assert [file.file for file in submitted_files(tmp_path / "b.lvs")] == ["b.lvs"]


def test_zip_archives_are_searched(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("submission_1/e04-ada.lvs", "one")
        archive.writestr("submission_1/__MACOSX/._e04-ada.lvs", "resource")
        archive.writestr("submission_metadata.yml", "x")
    (found,) = submitted_files(tmp_path)
    assert (found.file, found.read()) == ("export.zip/submission_1/e04-ada.lvs", b"one")
    assert len(submitted_files(tmp_path / "export.zip")) == 1


def test_a_broken_zip_is_refused_not_skipped(tmp_path: Path) -> None:
    fill(tmp_path, "export.zip")
    (found,) = submitted_files(tmp_path)
    with pytest.raises(Refused, match="ZIP"):
        found.read()


def test_a_huge_member_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("huge.lvs", b" " * (64 * LARGEST))
    (found,) = submitted_files(tmp_path)
    monkeypatch.delattr(zipfile.ZipFile, "open")
    with pytest.raises(Refused, match="too large"):
        found.read()


def test_a_member_that_compresses_too_well_is_not_unpacked(tmp_path: Path) -> None:
    """An archive costs no more than its own size."""
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.lvs", b" " * LARGEST)
        archive.writestr("b.lvs", b64encode(random.Random(1).randbytes(50_000)))
    first, second = submitted_files(tmp_path)
    with pytest.raises(Refused, match="not a sealed file"):
        first.read()
    assert len(second.read()) > 50_000


def test_an_archive_with_overlapping_members_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("a.lvs", b"x" * 10_000)
        whole = archive.infolist()[0]
        for name in "bc":
            copy = zipfile.ZipInfo(f"{name}.lvs")
            copy.file_size = copy.compress_size = whole.file_size
            copy.CRC, copy.header_offset = whole.CRC, whole.header_offset
            archive.filelist.append(copy)
        archive._didModify = True  # type: ignore[attr-defined]
    (found,) = submitted_files(tmp_path)
    with pytest.raises(Refused, match="a broken one"):
        found.read()


def test_unsupported_compression_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("e04-ada.lvs", b"x")
    (found,) = submitted_files(tmp_path)
    with pytest.raises(Refused, match="unpack its ZIP archive"):
        found.read()


def test_an_archive_is_opened_twice_whatever_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for number in range(500):
                archive.writestr(f"{number}/x.lvs", name)
    times = 0
    lists = zipfile.ZipFile._RealGetContents  # type: ignore[attr-defined]

    def counted(archive: zipfile.ZipFile) -> None:
        nonlocal times
        times += 1
        lists(archive)

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", counted)
    found = {file.file: file.read() for file in submitted_files(tmp_path)}
    assert len(found) == 1000
    assert (found["a.zip/7/x.lvs"], found["b.zip/7/x.lvs"]) == (b"a.zip", b"b.zip")
    assert times == 4


@pytest.mark.parametrize("limit", ["_MAX_MEMBERS", "_MAX_DIRECTORY"])
def test_an_archive_with_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}{'x' * 200}.txt", b"")
    monkeypatch.setattr(collect, limit, 19)
    (found,) = submitted_files(tmp_path)
    assert found.file == "export.zip"
    with pytest.raises(Refused, match="unpack it into a folder"):
        found.read()


def test_a_name_that_is_not_a_regular_file_is_refused_not_skipped(tmp_path: Path) -> None:
    fill(tmp_path, "b.lvs")
    (tmp_path / "folder.lvs").mkdir()
    (tmp_path / "folder.lvs" / "c.lvs").write_text("c")
    (tmp_path / "gone.lvs").symlink_to("nowhere")
    (tmp_path / "link.lvs").symlink_to("b.lvs")
    os.mkfifo(tmp_path / "pipe.lvs")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("inside.lvs/", b"")
    contents = {}
    for file in submitted_files(tmp_path):
        try:
            contents[file.file] = file.read().decode()
        except Refused as refused:
            contents[file.file] = str(refused)
    assert contents == {
        "b.lvs": "b.lvs",
        "folder.lvs": "a folder, not a file",
        "folder.lvs/c.lvs": "c",
        "gone.lvs": "a link, not a file",
        "link.lvs": "a link, not a file",
        "pipe.lvs": "not a regular file",
        "x.zip/inside.lvs": "a folder, not a file",
    }


def test_an_unreadable_folder_is_refused_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "b.lvs", "locked/c.lvs")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    _, locked = submitted_files(tmp_path)
    assert locked.file == "locked"
    with pytest.raises(Refused, match="Permission denied"):
        locked.read()


def test_a_file_that_vanishes_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "b.lvs")
    (found,) = submitted_files(tmp_path)
    (tmp_path / "b.lvs").unlink()
    with pytest.raises(Refused, match="cannot be read"):
        found.read()


def test_a_missing_and_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no folder"):
        submitted_files(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadRequest, match="no submissions"):
        submitted_files(tmp_path)


# ---- accounts ----


@pytest.mark.parametrize(
    ("file", "account"),
    [
        ("e04-ada.lvs", ()),
        ("ada/e04-ada.lvs", ("ada",)),
        ("export.zip/ada/e04-ada.lvs", ("export.zip", "ada")),
        ("eve/work.zip/ada/e04-ada.lvs", ("eve",)),
        ("Ada Lovelace_17_assignsubmission_file_/x/e04-ada.lvs", ("Ada Lovelace_17",)),
        ("all.zip/Ada Lovelace_17_assignsubmission_file_/work.zip/e04-ada.lvs", ("Ada Lovelace_17",)),
        ("Ada Lovelace_17_assignsubmission_file_e04-ada.lvs", ("Ada Lovelace_17",)),
        ("lovelaceada_LATE_17_18_e04-ada.lvs", ("lovelaceada_17",)),
        ("Week 3_ada_attempt_2026-11-20-10-00-00_e04-ada.lvs", ("ada",)),
        ("Eve_12_assignsubmission_file_/Ada_11_assignsubmission_file_/e04-ada.lvs", ("Eve_12",)),
    ],
)
def test_the_account_of_a_file(file: str, account: Account) -> None:
    assert account_of(file) == account


@pytest.mark.parametrize(
    ("accounts", "student", "own"),
    [
        ([("ada",), ("eve",)], "ada", ("ada",)),
        ([("ada",), ("eve",)], "ADA", ("ada",)),
        ([("Ada Lovelace_17",), ("Eve_12",)], "ada.lovelace", ("Ada Lovelace_17",)),
        ([("Ada Lovelace_17",), ("Eve_12",)], "17", None),
        ([("17",), ("12",)], "17", ("17",)),
        ([("Ada Lovelace_17",), ("Ada Byron_18",)], "ada", None),
        ([("ada-2",), ("eve",)], "ada-1", None),
        ([("all.zip", "ada"), ("all.zip", "eve")], "ada", ("all.zip", "ada")),
        ([("eve.zip", "ada"), ("lovelace",)], "ada", None),
        ([("ada",), ("ada", "new")], "ada", None),
        ([(), ("ada",)], "ada", ("ada",)),
    ],
)
def test_the_students_own_account(accounts: list[Account], student: str, own: Account | None) -> None:
    assert own_account(accounts, student) == own
