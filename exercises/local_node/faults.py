"""The rule is not there yet. BASE has it."""

from __future__ import annotations

from classroom.exercise import Edit, Fault

BASE = (Edit("d", "rules.sh", put="ippfvsadm -A -t {vip}:80 -R 127.0.0.1:80"),)

FAULTS = (Fault((Edit("d", "rules.sh", "-R 127.0.0.1:80"),)),)
