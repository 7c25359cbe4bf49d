"""All three methods: everything works; who takes a break loses the connection."""

from __future__ import annotations

from classroom.checks.connections import idle_connections_survive, idle_timeout, new_connections_answered
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(new_connections_answered, idle_connections_survive, idle_timeout),
)

# ---- Faults ----
# Connections that are established may be silent for a second or two only.


def _set(seconds: str, why: str) -> Fault:
    return Fault((Edit("d", "rules.sh", put=f"\n# {why}\nipvsadm --set {seconds}"),))


FAULTS = (
    _set("2 2 2", "Against full tables."),
    _set("1 120 300", "Old entries only cost memory."),
    _set("2 0 0", "Clean up faster."),
)

# ---- Solutions ----
# A time-out longer than the silence of any connection; 15 minutes is what IPVS has by itself.

SOLUTIONS = tuple(
    Solution(
        cause="short_timeout",
        host="d",
        evidence=("rules", "connections"),
        fails=("idle_connections_survive", "idle_timeout"),
        repairs=(Repair("d", ("ipvsadm --set 900 120 300",)),),
    )
    for _ in FAULTS
)
