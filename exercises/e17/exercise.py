"""VS-TUN, VS-DR: some connections are refused at once, and the server is well."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Refused, and yet the server runs",
    methods=("dr", "tun"),
    checks=(all_served, fair_shares, one_answer),
)
