"""VS-NAT: users log in to ftp, and see no files."""

from __future__ import annotations

from classroom.checks.ftp import ftp_active, ftp_login, ftp_passive
from classroom.checks.service import all_served, fair_shares
from classroom.model import Edit, Exercise, Fault, Repair, Solution
from doctor.queries import RESTART_DIRECTOR

EXERCISE = Exercise(
    methods=("nat",),
    checks=(ftp_login, ftp_passive, ftp_active, all_served, fair_shares),
)

# ---- Faults ----
# The director runs without its ftp helper, by an option on its command line or in a variable above it.

_START, _OPTION = "lvs-director ", "--no-ftp-helper"

FAULTS = (
    Fault((Edit("d", "start.sh", _START, f"{{line}} {_OPTION}"),)),
    Fault((Edit("d", "start.sh", _START, f"OPTIONS='{_OPTION} --conn-tab-bits 12'\n{{line}} $OPTIONS"),)),
)

# ---- Solutions ----
# Restart the director with its helper, and reload its rules.

_COMMANDS = (
    "sed -i 's/ *--no-ftp-helper//' start.sh",
    *RESTART_DIRECTOR,
)

SOLUTIONS = tuple(
    Solution(
        cause="no_ftp_helper",
        host="d",
        evidence=("process", "capture"),
        fails=("ftp_passive", "ftp_active"),
        repairs=(Repair("d", _COMMANDS),),
    )
    for _ in range(2)
)
