"""VS-TUN: requests reach a real server, and it does not answer."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="It arrives, and nobody answers",
    methods=("tun",),
    checks=(all_served, fair_shares, one_answer),
)
