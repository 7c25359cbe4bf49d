"""VS-DR, set up by the book: one real server has all the work, and the director none."""

from __future__ import annotations

from classroom.checks.service import all_served
from classroom.checks.way import director_gets_all, fair_whatever_learnt
from classroom.exercise import Exercise
from classroom.probes.router import ask_without_director

EXERCISE = Exercise(
    title="By the book, and yet one server does it all",
    methods=("dr",),
    checks=(all_served, director_gets_all, fair_whatever_learnt),
    prepare=ask_without_director,
)
