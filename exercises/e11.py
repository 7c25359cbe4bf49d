"""All three methods: everything works, but connections that pause are lost."""

from __future__ import annotations

from classroom.checks.open_connections import idle_connections_survive, idle_timeout, new_connections_answered
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(new_connections_answered, idle_connections_survive, idle_timeout),
)

# ---- Faults ----
# Established connections may be idle for a second or two only.


def _set(seconds: str, why: str) -> Fault:
    return Fault((Edit("d", "rules.sh", put=f"\n# {why}\nipvsadm --set {seconds}"),))


FAULTS = (
    _set("2 2 2", "Against full tables."),
    _set("1 120 300", "Old entries only cost memory."),
    _set("2 0 0", "Clean up faster."),
)

# ---- Solutions ----
# A timeout longer than any pause; 15 minutes is IPVS's default.

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
