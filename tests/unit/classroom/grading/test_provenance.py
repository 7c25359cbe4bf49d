"""A submission shows the lab of the student it names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from classroom.grading import provenance
from classroom.submission import Refused
from classroom.variants import variant_for
from tests.unit.classroom.submissions import journal, observations, state, submission

ADA, BOB = submission("ada"), submission("bob")


def test_a_students_own_submission_is_accepted() -> None:
    assert provenance.require(ADA) == variant_for("e04", "ada")


@pytest.mark.parametrize("extra", [{"newer": "1"}, {}])
def test_unknown_facts_are_ignored(extra: dict[str, str]) -> None:
    facts = {name: fact for name, fact in ADA.facts.items() if name != "count"}
    provenance.require(replace(ADA, facts={**facts, **extra}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"facts": BOB.facts}, "wrong lab: expected "),
        ({"facts": {}}, "expected c1=.* found none"),
        ({"state": BOB.state}, "wrong lab: expected "),
        ({"state": {}}, "expected lab=.* found none"),
        ({"state": {**ADA.state, "vip": "203.0.113.1"}}, r"expected vip=.* for ada, found 203\.0\.113\.1$"),
        ({"state": {**ADA.state, "servers": BOB.state["servers"]}}, "expected servers=rs1 .* found rs1 "),
        ({"state": {**ADA.state, "servers": 5}}, "expected servers=.* found none"),
        ({"state": {**ADA.state, "hosts": [{"name": "d"}]}}, "expected hosts=.* found none"),
        ({"state": {**ADA.state, "hosts": ADA.state["hosts"][1:]}}, "expected hosts="),
        ({"journal": journal("bob")}, "does not begin"),
        ({"journal": []}, "does not begin"),
        ({"run": ""}, "does not begin"),
        ({"student": "=1"}, "unknown exercise or student"),
        ({"exercise": "e99"}, "unknown exercise or student"),
        ({"seen": {"requests": [{"how": "answered", "server": "rs77"}]}}, "rs77 does not exist"),
        ({"seen": {"arp_answers": ["rs9-eth0"]}}, "rs9 does not exist"),
    ],
)
def test_anything_else_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        provenance.require(replace(ADA, **changes))


def test_no_student_passes_for_another() -> None:
    """Whichever part is taken from one of two hundred others."""
    for number in range(200):
        other = variant_for("e04", f"s{number}")
        if other.facts != {**ADA.facts, "student": other.student}:
            with pytest.raises(Refused):
                provenance.require(replace(ADA, facts=dict(other.facts)))
            with pytest.raises(Refused):
                provenance.require(replace(submission(other.student), facts=ADA.facts, state=ADA.state))


def test_a_submission_of_a_broken_lab_is_accepted() -> None:
    variant = variant_for("e04", "ada")
    provenance.require(replace(ADA, seen=observations(variant, broken=True), state=state(variant.plan)))
