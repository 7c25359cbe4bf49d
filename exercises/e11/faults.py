"""Connections that are established may be silent for a second or two only."""

from __future__ import annotations

from classroom.exercise import Edit, Fault


def _set(seconds: str, why: str) -> Fault:
    return Fault((Edit("d", "rules.sh", put=f"\n# {why}\nipvsadm --set {seconds}"),))


FAULTS = (
    _set("2 2 2", "Against full tables."),
    _set("1 120 300", "Old entries only cost memory."),
    _set("2 0 0", "Clean up faster."),
)
