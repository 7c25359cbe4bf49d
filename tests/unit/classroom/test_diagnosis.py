"""The form of a diagnosis."""

from __future__ import annotations

import pytest

from classroom.diagnosis import CAUSES, EVIDENCE, Diagnosis
from labs.errors import BadRequest


def test_it_may_be_empty() -> None:
    assert not Diagnosis()
    assert Diagnosis(host="rs1")


def test_it_goes_into_evidence_and_back() -> None:
    given = Diagnosis("rs1", "vip_missing", "counters")
    assert Diagnosis(**given.as_dict()) == given


@pytest.mark.parametrize(("field", "known"), [("cause", CAUSES), ("evidence", EVIDENCE)])
def test_only_what_can_be_chosen(field: str, known: dict[str, str]) -> None:
    for word in known:
        Diagnosis(**{field: word})
    with pytest.raises(BadRequest, match=f"--{field} 'gremlins'"):
        Diagnosis(**{field: "gremlins"})


def test_words_are_words() -> None:
    assert all(word.isidentifier() for word in (*CAUSES, *EVIDENCE))
