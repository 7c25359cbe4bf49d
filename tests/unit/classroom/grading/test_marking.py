"""From evidence to points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from classroom.checks import FAILED
from classroom.grading.marking import WHOLE, Part, mark
from classroom.variants import variant_for
from tests.unit.classroom.submissions import journal, observations, submission

CASE = variant_for("e04", "ada")
RIGHT = submission("ada")
BROKEN = observations(CASE, broken=True)


def points(**changes: Any) -> list[int]:
    return [part.points for part in mark(replace(RIGHT, **changes), CASE).parts]


def test_a_right_submission_gets_all_points() -> None:
    made = mark(RIGHT, CASE)
    assert made.points == WHOLE == sum(part.most for part in made.parts)
    assert all(part.ok for part in made.parts)
    assert (made.hints, made.checks, made.doctor, made.minutes) == (1, 2, 0, 10.0)


def test_nothing_done_gets_no_points() -> None:
    assert points(seen=BROKEN, diagnosis={}) == [0, 0, 0, 0, 0]


def test_a_diagnosis_counts_without_a_repair_and_the_other_way_round() -> None:
    assert points(seen=BROKEN) == [0, 0, 10, 15, 5]
    assert points(diagnosis={}) == [35, 35, 0, 0, 0]


@pytest.mark.parametrize(
    ("answers", "counted"),
    [
        ({"host": "d"}, [0, 15, 5]),
        ({"cause": "rp_filter"}, [10, 0, 5]),
        ({"evidence": "routes"}, [10, 15, 0]),
        ({"evidence": "addresses"}, [10, 15, 5]),
        ({"host": "", "cause": "", "evidence": ""}, [0, 0, 0]),
        ({"host": "<b>", "cause": "gremlins"}, [0, 0, 5]),
    ],
)
def test_each_answer_counts_separately(answers: dict[str, str], counted: list[int]) -> None:
    assert points(diagnosis={**RIGHT.diagnosis, **answers})[2:] == counted


def test_half_a_repair() -> None:
    """All requests are served, but by one server."""
    asked = [{"how": "answered", "server": CASE.other}] * 12
    assert points(seen={**RIGHT.seen, "requests": asked}) == [35, 0, 10, 15, 5]


def test_a_repair_that_breaks_something_else_counts_half() -> None:
    made = mark(replace(RIGHT, seen={**RIGHT.seen, "arp_answers": ["d-eth0", "rs1-eth0"]}), CASE)
    assert [part.points for part in made.parts] == [17, 17, 0, 10, 15, 5]
    spoils = made.parts[2]
    assert (spoils.most, spoils.ok) == (0, False)
    assert spoils.why
    assert made.parts[0].why


@pytest.mark.parametrize(
    "absurd",
    [{}, {"requests": None}, {"requests": {FAILED: "x"}}, {"requests": 5, "arp_answers": [[]]}, {"more": 1}],
)
def test_malformed_content_gets_no_points_for_the_lab(absurd: dict[str, Any]) -> None:
    assert sum(points(seen=absurd)) == 30  # the diagnosis


def test_texts_are_printable() -> None:
    made = mark(replace(RIGHT, seen={**RIGHT.seen, "arp_answers": ["\x1b[2J" + "x" * 9999]}), CASE)
    assert all(len(part.observed) <= 300 and part.observed.isprintable() for part in made.parts)


def test_answers_are_marked_as_such() -> None:
    assert [part.answer for part in mark(RIGHT, CASE).parts] == [False, False, True, True, True]


@pytest.mark.parametrize(("minutes", "expected"), [(0.0, 0.0), (61.25, 61.2)])
def test_minutes_from_start_to_end(minutes: float, expected: float) -> None:
    assert mark(replace(RIGHT, journal=journal("ada", minutes)), CASE).minutes == pytest.approx(
        expected, abs=0.06
    )


def test_a_part_without_points_is_not_ok() -> None:
    assert not Part("x", 0, 0, "", "").ok
