"""The words of a diagnosis."""

from __future__ import annotations

import pytest

from classroom.diagnosis import CAUSES, EVIDENCE, Diagnosis
from labs.errors import BadRequest


def test_a_diagnosis_may_be_empty() -> None:
    assert not Diagnosis()
    assert Diagnosis(host="rs1")


def test_a_diagnosis_survives_as_a_dict() -> None:
    given = Diagnosis("rs1", "vip_missing", "counters")
    assert Diagnosis(**given.as_dict()) == given


@pytest.mark.parametrize(("field", "known"), [("cause", CAUSES), ("evidence", EVIDENCE)])
def test_only_known_words_are_accepted(field: str, known: dict[str, str]) -> None:
    for word in known:
        Diagnosis(**{field: word})
    with pytest.raises(BadRequest, match=f"--{field} 'gremlins'"):
        Diagnosis(**{field: "gremlins"})


def test_words_are_identifiers() -> None:
    assert all(word.isidentifier() for word in (*CAUSES, *EVIDENCE))
