"""The gradebook: students, points and refusals."""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from classroom.grading.collect import submitted_files
from classroom.grading.gradebook import Gradebook, grade_files, natural_key
from classroom.submission import LARGEST, new_run
from classroom.variants import variant_for
from labs.wait import patient
from tests.unit.classroom.submissions import hand_in, journal, key, observations, submission

ADA, BOB = submission("ada"), submission("bob")


def graded(folder: Path) -> Gradebook:
    return grade_files(submitted_files(folder), key())


def points(made: Gradebook) -> dict[str, int]:
    return {entry.mark.student: entry.mark.points for entry in made.entries}


def reasons(made: Gradebook) -> dict[str, str]:
    return {refusal.file: refusal.reason for refusal in made.refusals}


def test_right_wrong_and_partial(tmp_path: Path) -> None:
    broken = observations(variant_for("e04", "s2"), broken=True)
    hand_in(tmp_path, submission("s10"))
    hand_in(tmp_path, submission("s2", seen=broken, diagnosis={"cause": "rp_filter"}))
    hand_in(tmp_path, submission("s1", diagnosis={"host": "d", "cause": "vip_missing"}))
    made = graded(tmp_path)
    assert points(made) == {"s1": 85, "s2": 0, "s10": 100}
    assert list(made.students) == ["s1", "s2", "s10"]
    assert (made.exercises, made.refusals) == (["e04"], ())


def test_a_bad_file_does_not_affect_others(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA)
    hand_in(tmp_path, submission("other"), secret="other class")
    file = hand_in(tmp_path, submission("tampered"))
    file.write_text(file.read_text().replace('"tampered"', '"eve"'))
    file = hand_in(tmp_path, submission("cut"))
    file.write_bytes(file.read_bytes()[:-10])
    (tmp_path / "json.lvs").write_text('{"exercise": "e04"}')
    (tmp_path / "empty.lvs").touch()
    made = graded(tmp_path)
    assert points(made) == {"ada": 100}
    refusals = reasons(made)
    assert set(refusals) == {"e04-other.lvs", "e04-tampered.lvs", "e04-cut.lvs", "json.lvs", "empty.lvs"}
    assert "another class" in refusals["e04-other.lvs"]
    assert "second line" in refusals["e04-tampered.lvs"]
    assert "cut short" in refusals["e04-cut.lvs"]


def test_another_students_submission_under_ones_own_name(tmp_path: Path) -> None:
    """Made from ada's lab by modified code: run, facts and state are hers."""
    hand_in(tmp_path, replace(ADA, student="eve", journal=journal("eve"), run="another"))
    assert "wrong lab" in reasons(graded(tmp_path))["e04-eve.lvs"]


def test_one_run_under_two_names_is_refused_for_both(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA)
    hand_in(tmp_path, replace(BOB, run=ADA.run))
    hand_in(tmp_path, submission("carl"))
    made = graded(tmp_path)
    assert points(made) == {"carl": 100}
    assert "e04 of bob" in reasons(made)["e04-ada.lvs"]
    assert "e04 of ada" in reasons(made)["e04-bob.lvs"]


def test_the_original_of_a_run_counts_whatever_was_copied_from_it(tmp_path: Path) -> None:
    """By the run's name, or by the clock where an older archive named it."""
    run = new_run("e04", "ada")
    hand_in(tmp_path, replace(ADA, run=run))
    hand_in(tmp_path, replace(BOB, run=run, journal=journal("bob", 1)))
    hand_in(tmp_path, submission("s1", run="old", journal=journal("s1", 5)))
    hand_in(tmp_path, submission("s2", run="old"))
    made = graded(tmp_path)
    assert points(made) == {"ada": 100, "s1": 100}
    assert reasons(made) == {
        "e04-bob.lvs": "the same run was also submitted as e04 of ada (e04-ada.lvs)",
        "e04-s2.lvs": "the same run was also submitted as e04 of s1 (e04-s1.lvs)",
    }
    assert "e04 of bob (e04-bob.lvs)" in made.entries[0].notes[0]


EVES = replace(
    ADA, diagnosis={}, seen=observations(variant_for("e04", "ada"), broken=True), journal=journal("ada", 99)
)


@pytest.mark.parametrize(
    ("adas", "eves"),
    [
        ("ada/e04-ada.lvs", "eve/e04-ada.lvs"),
        ("Ada Lovelace_11_assignsubmission_file_/e04-ada.lvs", "Eve_12_assignsubmission_file_/e04-ada.lvs"),
        ("Ada Lovelace_11_assignsubmission_file_e04-ada.lvs", "Eve_12_assignsubmission_file_e04-ada.lvs"),
        ("Lab_ada_attempt_2026-11-20-10-00-00_x.lvs", "Lab_eve_attempt_2026-11-20-10-00-01_x.lvs"),
        ("ada_1_2_e04-ada.lvs", "eve_LATE_3_4_e04-ada.lvs"),
    ],
)
def test_the_account_decides_not_the_clock_inside(tmp_path: Path, adas: str, eves: str) -> None:
    """Another run, the same run sealed again later, and one with an earlier time."""
    for other in (replace(EVES, run="another"), EVES, replace(EVES, journal=journal("ada", 1))):
        hand_in(tmp_path, ADA, adas)
        hand_in(tmp_path, other, eves)
        made = graded(tmp_path)
        assert points(made) == {"ada": 100}
        assert "for e04 of ada only files from" in reasons(made)[eves]


def test_different_runs_of_one_student_from_two_accounts_are_both_refused(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA, "Lovelace/e04-ada.lvs")
    hand_in(tmp_path, replace(EVES, run="another"), "eve.zip/ada/e04-ada.lvs")
    hand_in(tmp_path, BOB, "Lovelace/e04-bob.lvs")
    made = graded(tmp_path)
    assert points(made) == {"bob": 100}
    assert set(reasons(made)) == {"Lovelace/e04-ada.lvs", "eve.zip/ada/e04-ada.lvs"}
    for reason in reasons(made).values():
        assert "by Lovelace and eve.zip/ada: keep the student's own" in reason


def test_the_same_run_sealed_again_by_another_account_does_not_count(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA, "x/e04-ada.lvs")
    hand_in(tmp_path, EVES, "y/e04-ada.lvs")
    made = graded(tmp_path)
    assert points(made) == {"ada": 100}
    assert "submitted by y" in reasons(made)["y/e04-ada.lvs"]


def test_a_copy_in_another_account_does_no_harm(tmp_path: Path) -> None:
    first = hand_in(tmp_path, replace(ADA, diagnosis={}, journal=journal("ada", 5)), "x/e04-ada.lvs")
    hand_in(tmp_path, replace(ADA, run="second"), "x/e04-ada (1).lvs")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "e04-ada.lvs").write_bytes(first.read_bytes())
    made = graded(tmp_path)
    assert (points(made), made.refusals) == ({"ada": 100}, ())
    assert made.entries[0].notes == (
        "older submission, 70 points: x/e04-ada.lvs",
        "older submission, 70 points: y/e04-ada.lvs",
    )


def test_an_account_that_submits_for_several_students_is_noted(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA, "Eve Adams_12_assignsubmission_file_/e04-ada.lvs")
    hand_in(tmp_path, submission("eve"), "Eve Adams_12_assignsubmission_file_/e04-eve.lvs")
    notes = {entry.mark.student: entry.notes for entry in graded(tmp_path).entries}
    assert notes == {
        "ada": ("Eve Adams_12 also submitted for eve",),
        "eve": ("Eve Adams_12 also submitted for ada",),
    }


def test_the_later_of_two_counts_and_the_older_is_noted(tmp_path: Path) -> None:
    older = replace(ADA, diagnosis={}, journal=journal("ada", 5))
    hand_in(tmp_path, older, "z.lvs")
    hand_in(tmp_path, ADA, "a.lvs")
    made = graded(tmp_path)
    assert points(made) == {"ada": 100}
    assert made.entries[0].notes == ("older submission, 70 points: z.lvs",)
    assert made.refusals == ()


@pytest.mark.parametrize(
    ("count", "counted", "note"),
    [
        ("latest", 30, "older submission, 100 points: b.lvs"),
        ("best", 100, "later submission, 30 points: c.lvs"),
        ("first", 70, "later submission, 100 points: b.lvs"),
    ],
)
def test_the_teacher_chooses_which_of_several_counts(
    tmp_path: Path, count: str, counted: int, note: str
) -> None:
    broken = observations(variant_for("e04", "ada"), broken=True)
    hand_in(tmp_path, replace(ADA, diagnosis={}, journal=journal("ada", 1)), "a.lvs")
    hand_in(tmp_path, replace(ADA, journal=journal("ada", 2)), "b.lvs")
    file = hand_in(tmp_path, replace(ADA, seen=broken, journal=journal("ada", 3)), "c.lvs")
    (tmp_path / "copy.lvs").write_bytes(file.read_bytes())
    (entry,) = grade_files(submitted_files(tmp_path), key(), count).entries
    assert (entry.mark.points, entry.of) == (counted, 3)
    assert note in entry.notes
    assert len(entry.notes) == 3


def test_a_copy_is_noted(tmp_path: Path) -> None:
    file = hand_in(tmp_path, ADA, "a.lvs")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "b.lvs").write_bytes(file.read_bytes())
    (entry,) = graded(tmp_path).entries
    assert (entry.file, entry.notes) == ("copy/b.lvs", ("copy: a.lvs",))


def test_a_file_named_after_another_student_is_noted(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA, "Bob_123_e04-bob.lvs")
    hand_in(tmp_path, BOB, "e04-bob (1).lvs")
    hand_in(tmp_path, submission("carl"), "mine.lvs")
    made = graded(tmp_path)
    notes = {entry.mark.student: entry.notes for entry in made.entries}
    assert notes == {"ada": ("named as e04 of bob",), "bob": (), "carl": ()}


def test_file_names_are_printable(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J.lvs").write_text("x")
    assert list(reasons(graded(tmp_path))) == ["?[2J.lvs"]


def test_hostile_files_cost_no_more_than_their_size(tmp_path: Path) -> None:
    """The largest file that opens, many times: nothing of it is kept, and copies are opened once."""
    parts: object = [[] for _ in range(45_000)]
    full = {"requests": parts, "arp_answers": "x" * (LARGEST // 2)}
    for number in range(20):
        hand_in(tmp_path, submission(f"s{number}", seen=full))
    file = hand_in(tmp_path, submission("s20", seen=full), "a/x.lvs")
    for number in range(300):
        hand_in(tmp_path, ADA, f"a/{number}.lvs").write_bytes(file.read_bytes())
    files = submitted_files(tmp_path)
    grade_files(files[:1], key())  # what is loaded once
    tracemalloc.start()
    began = time.process_time()
    try:
        made = grade_files(files, key())
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(points(made)) == 21
    assert most < 50e6
    assert time.process_time() - began < patient(21)


def test_malformed_content_does_not_end_grading(tmp_path: Path) -> None:
    nested: object = 1
    for _ in range(400):
        nested = [nested]
    absurd = {"requests": [{"how": nested, "server": nested}] * 30, "arp_answers": nested}
    hand_in(tmp_path, submission("s1", seen=absurd))
    hand_in(tmp_path, submission("s2", seen={}))
    hand_in(tmp_path, submission("s3", seen={"requests": 10**400}))
    made = graded(tmp_path)
    assert points(made) == {"s1": 30, "s2": 30, "s3": 30}


def test_students_are_sorted_with_numbers_as_numbers() -> None:
    assert sorted(["s10", "s2", "b", "10", "9", "s2x"], key=natural_key) == [
        "b",
        "s2",
        "s2x",
        "s10",
        "9",
        "10",
    ]
