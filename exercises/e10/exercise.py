"""All three methods: one real server has everything to do, the others nothing."""

from __future__ import annotations

from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="One works, the others watch",
    methods=("nat", "tun", "dr"),
    checks=(all_served, fair_shares),
)
