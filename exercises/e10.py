"""All three methods: one real server does all the work, the others none."""

from __future__ import annotations

from classroom.checks.service import all_served, fair_shares
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("nat", "tun", "dr"),
    checks=(all_served, fair_shares),
)

# ---- Faults ----
# The service is persistent.


def _persistent(options: str, why: str) -> Fault:
    line = f"ipvsadm -E -t {{vip}}:80 -s {{scheduler}} {options}"
    return Fault((Edit("d", "rules.sh", put=f"\n# {why}\n{line}"),))


FAULTS = (
    _persistent("-p 300", "So that no one loses a shopping basket."),
    _persistent("-p 600", "Sessions last ten minutes."),
    _persistent(
        "-p 300 -M 255.255.0.0", "Providers have several proxies; a user may come through any of them."
    ),
    _persistent("-p", "As recommended."),
)

# ---- Solutions ----
# The same service without -p; its templates are ignored then.

_EDIT = ("ipvsadm -E -t {vip}:80 -s {scheduler}",)

SOLUTIONS = tuple(
    Solution(
        cause="persistence",
        host="d",
        evidence=("rules", "connections"),
        fails=("fair_shares",),
        repairs=(Repair("d", _EDIT),),
    )
    for _ in FAULTS
)
