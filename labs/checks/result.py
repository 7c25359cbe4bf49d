"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """`expected` and `observed` are for people; `ok` is the verdict."""

    name: str
    ok: bool
    expected: str
    observed: str


def equal(name: str, expected: object, observed: object) -> Check:
    """The check that two values are the same."""
    return Check(name, expected == observed, str(expected), str(observed))
