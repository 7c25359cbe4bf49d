"""VS-NAT, from hosts without addresses to a virtual server: the example that was published with it."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.ftp import ftp_active, ftp_login, ftp_passive, reply_path
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise

EXERCISE = Exercise(
    title="Build a virtual server, VS-NAT",
    methods=("nat",),
    checks=(one_answer, all_served, fair_shares, reply_path, ftp_login, ftp_passive, ftp_active),
    servers=(3,),
    schedulers=("wrr",),
    diagnosis=False,
)
