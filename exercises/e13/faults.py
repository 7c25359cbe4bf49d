"""The director runs without its ftp helper, said on its command line or in a variable above it."""

from __future__ import annotations

from classroom.exercise import Edit, Fault

_START, _OPTION = "lvs-director ", "--no-ftp-helper"

FAULTS = (
    Fault((Edit("d", "start.sh", _START, f"{{line}} {_OPTION}"),)),
    Fault((Edit("d", "start.sh", _START, f"OPTIONS='{_OPTION} --conn-tab-bits 12'\n{{line}} $OPTIONS"),)),
)
