"""VS-TUN: small requests work, a large upload hangs."""

from __future__ import annotations

from classroom.checks.service import all_served, fair_shares
from classroom.checks.transfers import length_learnt, uploads_arrive
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="The page comes, the holiday pictures do not go",
    methods=("tun",),
    checks=(all_served, fair_shares, uploads_arrive, length_learnt),
)
