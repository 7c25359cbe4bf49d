"""The scheduler that a student writes: which file, and what it has to do in the lab."""

from __future__ import annotations

from dataclasses import dataclass

from classroom.variants import Variant

NAME = "smooth"
FILE = f"{NAME}.py"
STARTER, TESTS = "starter.py", "starter_tests.py"  # in the exercise's folder
TESTS_COPY = f"test_{NAME}.py"  # the student's own

# Weights, and the places in the list of those who get the connections of one round: of all servers, and
# when the first of them has weight 0. None of them is what wrr does.
_ROUNDS = {
    (5, 1, 1): ("1121311", "23"),
    (1, 4, 1): ("212232", "22322"),
    (4, 2, 1): ("1213121", "232"),
    (2, 4, 1): ("2123212", "22322"),
    (1, 1, 3): ("31323", "3233"),
    (1, 3, 2): ("231232", "23232"),
    (3, 2, 1): ("121321", "232"),
}


@dataclass(frozen=True, slots=True)
class Round:
    """Who has to get the connections, in their order, with these weights of rs1, rs2 and rs3."""

    weights: tuple[int, ...]
    names: tuple[str, ...]


def rounds(variant: Variant) -> tuple[Round, Round]:
    """Twice through the list; then rs1 has weight 0."""
    weights = variant.choose(tuple(_ROUNDS), "weights")
    first, then = _ROUNDS[weights]
    return Round(weights, _names(first) * 2), Round((0, *weights[1:]), _names(then))


def _names(places: str) -> tuple[str, ...]:
    return tuple(f"rs{place}" for place in places)
