"""Dataclasses from JSON: what each type takes, and how a wrong value is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest

from director.formats.dataclass_json import Loader, load


@dataclass(frozen=True)
class Inner:
    number: int


@dataclass(frozen=True)
class Outer:
    name: str
    seconds: float = 0.0
    maybe: int | None = None
    inner: tuple[Inner, ...] = ()
    texts: list[str] = field(default_factory=list)
    counts: Mapping[str, int] = field(default_factory=dict)
    journal: list[dict[str, Any]] = field(default_factory=list)


FULL = Outer("a", 1.5, 3, (Inner(1), Inner(2)), ["x"], {"n": 1}, [{"what": None}])


def test_there_and_back() -> None:
    assert load(Outer, asdict(FULL)) == FULL


def test_what_is_left_out_has_the_default() -> None:
    assert load(Outer, {"name": "a", "maybe": None}) == Outer("a")


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ([], "Outer: expected an object, got []."),
        ({}, "Outer needs the field 'name'."),
        ({"name": "a", "colour": 1}, "Outer has no field 'colour'."),
        ({"name": 1}, "Outer.name: expected str, got 1."),
        ({"name": "a", "seconds": "1"}, "Outer.seconds: expected a number, got '1'."),
        ({"name": "a", "maybe": True}, "Outer.maybe: expected int, got True."),
        ({"name": "a", "inner": {}}, "Outer.inner: expected a list, got {}."),
        ({"name": "a", "inner": [{}]}, "Inner needs the field 'number'."),
        ({"name": "a", "texts": [1]}, "Outer.texts: expected str, got 1."),
        ({"name": "a", "counts": []}, "Outer.counts: expected an object, got []."),
        ({"name": "a", "counts": {"n": "1"}}, "Outer.counts: expected int, got '1'."),
        ({"name": "a", "journal": [1]}, "Outer.journal: expected an object, got 1."),
    ],
)
def test_a_wrong_form_is_refused_by_field(form: Any, says: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the sentence is compared as a whole
        load(Outer, form)
    assert str(refused.value) == says


def test_a_long_wrong_value_is_cut_off() -> None:
    with pytest.raises(ValueError, match=r"^Outer\.seconds: expected a number, got '9{59}\.$"):
        load(Outer, {"name": "a", "seconds": "9" * 1000})


def test_a_type_with_a_form_of_its_own() -> None:
    def read(_name: str, value: Any) -> Inner:
        return Inner(int(value))

    assert Loader({Inner: read}).load(Outer, {"name": "a", "inner": ["7"]}).inner == (Inner(7),)
