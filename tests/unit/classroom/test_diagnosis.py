"""The words of a diagnosis."""

from __future__ import annotations

import pytest

from classroom.diagnosis import CAUSES, EVIDENCE, UNKNOWN, Diagnosis
from classroom.submit import matches
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


def test_one_may_not_know() -> None:
    assert Diagnosis(cause=UNKNOWN).as_dict() == {"host": "", "cause": "unknown", "evidence": ""}
    assert UNKNOWN not in (*CAUSES, *EVIDENCE)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("4", ["vip_missing"]),
        ("VIP-Missing", ["vip_missing"]),
        ("does not have the vip", ["vip_missing"]),
        ("reverse path", ["rp_filter"]),
        ("persistence", ["persistence"]),
        ("0", [UNKNOWN]),
        ("I don't know", [UNKNOWN]),
        ("?", [UNKNOWN]),
        ("", []),
        ("00", []),
        ("9999999999999", []),
        ("gremlins", []),
        ("\N{REPLACEMENT CHARACTER}", []),
    ],
)
def test_a_cause_is_chosen_by_number_or_in_ones_own_words(typed: str, meant: list[str]) -> None:
    assert matches(typed, CAUSES) == meant


def test_words_that_fit_several_choose_none() -> None:
    assert len(matches("arp", CAUSES)) > 1
    assert matches("rs", {"d": "", "rs1": "", "rs2": ""}) == ["rs1", "rs2"]
