"""All three methods: the web site refuses every connection at once; everything seems to run."""

from __future__ import annotations

from classroom.checks.ports import ftp_connects
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Refused, at once",
    methods=("nat", "tun", "dr"),
    checks=(all_served, fair_shares, ftp_connects),
)
