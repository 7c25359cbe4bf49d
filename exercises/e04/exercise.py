"""VS-TUN, VS-DR: one real server does not have the VIP."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Now and then, nothing happens",
    methods=("dr", "tun"),
    checks=(all_served, fair_shares, one_answer),
)
