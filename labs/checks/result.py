"""The result of a check."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `ok` is the verdict; `expected` and `observed` explain it to people."""

    name: str
    ok: bool
    expected: str
    observed: str


def equal(name: str, expected: object, observed: object) -> Check:
    """The check that two values are the same."""
    return Check(name, expected == observed, str(expected), str(observed))
