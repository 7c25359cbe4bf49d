"""VS-NAT: people log in to ftp, and see no files."""

from __future__ import annotations

from classroom.checks.ftp import ftp_active, ftp_login, ftp_passive
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Logged in, but there are no files",
    methods=("nat",),
    checks=(ftp_login, ftp_passive, ftp_active, all_served, fair_shares),
)
