"""./inv grade: exit codes, the secret, and how long a class takes."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from classroom.grading.grade import grade
from classroom.keys import PRACTICE, VARIABLE
from labs.errors import BadRequest
from labs.wait import patient
from tests.unit.classroom.submissions import SECRET, hand_in, journal, submission


@pytest.fixture(autouse=True)
def _no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    return str(file)


def test_grading_a_class(tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    hand_in(tmp_path / "in", submission("ada"))
    assert grade(str(tmp_path / "in"), secret, "") == 0
    printed = capsys.readouterr().out
    assert "1 graded, 0 refused" in printed
    assert "practice" not in printed
    assert SECRET not in printed
    assert (tmp_path / "in" / "grades" / "e04-ada" / "results.json").is_file()


def test_a_refusal_is_reported_and_ends_with_1(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hand_in(tmp_path / "in", submission("ada"))
    (tmp_path / "in" / "[bold]x.lvs").write_text("x")
    assert grade(str(tmp_path / "in"), secret, str(tmp_path / "new" / "out")) == 1
    assert "REFUSED [bold]x.lvs: not a submission" in capsys.readouterr().out
    assert "ada" in (tmp_path / "new" / "out" / "class.csv").read_text()
    assert not (tmp_path / "in" / "grades").exists()


def test_with_every_submission_refused_the_exit_code_is_1(tmp_path: Path, secret: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.lvs").write_text("x")
    assert grade(str(tmp_path / "in"), secret, "") == 1
    assert "x.lvs" in (tmp_path / "in" / "grades" / "junit.xml").read_text()


def test_a_secret_of_another_class_is_a_wrong_request(tmp_path: Path, secret: str) -> None:
    """Where something is sealed for this class, the others are refused one by one."""
    for student in ("ada", "bob"):
        hand_in(tmp_path / "in", submission(student), secret="other class")
    with pytest.raises(BadRequest, match=r"None of the 2 submissions .*--secret FILE"):
        grade(str(tmp_path / "in"), secret, "")
    assert not (tmp_path / "in" / "grades").exists()
    hand_in(tmp_path / "in", submission("carl"))
    assert grade(str(tmp_path / "in"), secret, "") == 1


def test_which_of_several_counts_is_shown(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hand_in(tmp_path / "in", submission("ada"))
    assert grade(str(tmp_path / "in"), secret, "", "best") == 0
    assert "--count" not in capsys.readouterr().out
    hand_in(tmp_path / "in", submission("ada", diagnosis={}, journal=journal("ada", 20)), "x.lvs")
    assert grade(str(tmp_path / "in"), secret, "", "best") == 0
    printed = capsys.readouterr().out
    assert "the best counts; of equal ones, the latest (--count best)" in printed
    assert "later submission, 70 points: x.lvs" in printed
    report = (tmp_path / "in" / "grades" / "e04-ada" / "report.txt").read_text()
    assert "the best counts; of equal ones, the latest: you have handed in 2." in report
    with pytest.raises(BadRequest, match="--count 'worst' is unknown: choose from latest, best, first"):
        grade(str(tmp_path / "in"), secret, "", "worst")


def test_the_secret_may_be_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand_in(tmp_path, submission("ada"))
    monkeypatch.setenv(VARIABLE, SECRET)
    assert grade(str(tmp_path), "", "") == 0
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(BadRequest, match="empty"):
        grade(str(tmp_path), "", "")


def test_the_practice_key_comes_with_a_notice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hand_in(tmp_path, submission("ada"), secret=PRACTICE)
    assert grade(str(tmp_path), "", "") == 0
    assert "practice key" in capsys.readouterr().out


def test_a_secret_on_the_command_line_is_not_repeated(tmp_path: Path) -> None:
    hand_in(tmp_path, submission("ada"))
    with pytest.raises(BadRequest, match="--secret") as refused:
        grade(str(tmp_path), SECRET, "")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_secret(tmp_path: Path, content: bytes) -> None:
    hand_in(tmp_path, submission("ada"))
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(BadRequest, match="secret"):
        grade(str(tmp_path), str(tmp_path / "secret"), "")


def test_invalid_requests(tmp_path: Path, secret: str) -> None:
    with pytest.raises(BadRequest, match="no folder"):
        grade(str(tmp_path / "nowhere"), secret, "")
    with pytest.raises(BadRequest, match="nothing to grade"):
        grade(str(tmp_path), secret, "")
    hand_in(tmp_path, submission("ada"))
    with pytest.raises(BadRequest, match="--output"):
        grade(str(tmp_path), secret, secret)


def test_a_table_that_is_too_wide_has_only_the_sums(
    tmp_path: Path, secret: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(tmp_path / "in", submission("ada"))
    monkeypatch.setattr("classroom.grading.grade.WIDE", 49)
    assert grade(str(tmp_path / "in"), secret, "") == 0
    printed = capsys.readouterr().out
    assert "minutes" in printed
    assert "| e04" not in printed


def test_two_hundred_submissions_within_a_minute(tmp_path: Path, secret: str) -> None:
    for number in range(200):
        hand_in(tmp_path / "in", submission(f"s{number}"))
    began = time.monotonic()
    assert grade(str(tmp_path / "in"), secret, "") == 0
    assert time.monotonic() - began < patient(60)
    with (tmp_path / "in" / "grades" / "class.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["student"] for row in rows] == [f"s{number}" for number in range(200)]
    assert {row["total"] for row in rows} == {"100"}
