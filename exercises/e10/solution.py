"""The same service without -p; what is remembered of clients means nothing then."""

from __future__ import annotations

from classroom.exercise import Repair, Solution
from exercises.e10.faults import FAULTS

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
