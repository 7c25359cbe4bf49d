"""The class book: who is in it with which points, and what was refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from classroom.case import case_for
from classroom.grading.book import Book, book
from classroom.grading.intake import handed_in
from tests.unit.classroom.made import hand_in, journal, key, seen, submission

ADA, BOB = submission("ada"), submission("bob")


def graded(folder: Path) -> Book:
    return book(handed_in(folder), key())


def points(made: Book) -> dict[str, int]:
    return {entry.mark.student: entry.mark.points for entry in made.entries}


def reasons(made: Book) -> dict[str, str]:
    return {refusal.file: refusal.reason for refusal in made.refusals}


def test_right_wrong_and_partial(tmp_path: Path) -> None:
    broken = seen(case_for("e04", "s2"), broken=True)
    hand_in(tmp_path, submission("s10"))
    hand_in(tmp_path, submission("s2", seen=broken, diagnosis={"cause": "rp_filter"}))
    hand_in(tmp_path, submission("s1", diagnosis={"host": "d", "cause": "vip_missing"}))
    made = graded(tmp_path)
    assert points(made) == {"s1": 85, "s2": 0, "s10": 100}
    assert list(made.students) == ["s1", "s2", "s10"]
    assert (made.exercises, made.refusals) == (["e04"], ())


def test_what_is_wrong_with_one_file_is_no_matter_to_others(tmp_path: Path) -> None:
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
    told = reasons(made)
    assert set(told) == {"e04-other.lvs", "e04-tampered.lvs", "e04-cut.lvs", "json.lvs", "empty.lvs"}
    assert "another class" in told["e04-other.lvs"]
    assert "second line" in told["e04-tampered.lvs"]
    assert "cut short" in told["e04-cut.lvs"]


def test_somebody_elses_evidence_under_ones_own_name(tmp_path: Path) -> None:
    """As made from a lab of ada's by changed code: the run, the facts and the state are hers."""
    hand_in(tmp_path, replace(ADA, student="eve", journal=journal("eve"), run="another"))
    assert "comes from another lab" in reasons(graded(tmp_path))["e04-eve.lvs"]


def test_one_run_under_two_names_is_refused_for_both(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA)
    hand_in(tmp_path, replace(BOB, run=ADA.run))
    hand_in(tmp_path, submission("carl"))
    made = graded(tmp_path)
    assert points(made) == {"carl": 100}
    assert "e04 of bob" in reasons(made)["e04-ada.lvs"]
    assert "e04 of ada" in reasons(made)["e04-bob.lvs"]


def test_the_later_of_two_counts_and_the_older_is_named(tmp_path: Path) -> None:
    older = replace(ADA, diagnosis={}, journal=journal("ada", 5))
    hand_in(tmp_path, older, "z.lvs")
    hand_in(tmp_path, ADA, "a.lvs")
    made = graded(tmp_path)
    assert points(made) == {"ada": 100}
    assert made.entries[0].notes == ("an older one is z.lvs",)
    assert made.refusals == ()


def test_a_copy_is_named(tmp_path: Path) -> None:
    file = hand_in(tmp_path, ADA, "a.lvs")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "b.lvs").write_bytes(file.read_bytes())
    (entry,) = graded(tmp_path).entries
    assert (entry.file, entry.notes) == ("copy/b.lvs", ("a copy is a.lvs",))


def test_a_name_that_says_another_student_is_a_note(tmp_path: Path) -> None:
    hand_in(tmp_path, ADA, "Bob_123_e04-bob.lvs")
    hand_in(tmp_path, BOB, "e04-bob (1).lvs")
    hand_in(tmp_path, submission("carl"), "mine.lvs")
    made = graded(tmp_path)
    notes = {entry.mark.student: entry.notes for entry in made.entries}
    assert notes == {"ada": ("its name says e04 of bob",), "bob": (), "carl": ()}


def test_names_of_files_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "\x1b[2J.lvs").write_text("x")
    assert list(reasons(graded(tmp_path))) == ["?[2J.lvs"]


def test_content_that_no_check_expects_ends_nothing(tmp_path: Path) -> None:
    nested: object = 1
    for _ in range(400):
        nested = [nested]
    absurd = {"requests": [{"how": nested, "server": nested}] * 30, "arp_answers": nested}
    hand_in(tmp_path, submission("s1", seen=absurd))
    hand_in(tmp_path, submission("s2", seen={}))
    hand_in(tmp_path, submission("s3", seen={"requests": 10**400}))
    made = graded(tmp_path)
    assert points(made) == {"s1": 30, "s2": 30, "s3": 30}
