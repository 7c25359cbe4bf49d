"""VS-DR, from hosts without addresses to a virtual server whose hosts all have the same address."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.ftp import ftp_active, ftp_login, ftp_passive, reply_path
from classroom.checks.way import director_gets_all_later, fair_later
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Build a virtual server, VS-DR",
    methods=("dr",),
    checks=(
        one_answer,
        director_gets_all_later,
        fair_later,
        reply_path,
        ftp_login,
        ftp_passive,
        ftp_active,
    ),
    servers=(3,),
    diagnosis=False,
)
