"""A time-out longer than the silence of any connection; 15 minutes is what IPVS has by itself."""

from __future__ import annotations

from classroom.exercise import Repair, Solution
from exercises.e11.faults import FAULTS

SOLUTIONS = tuple(
    Solution(
        cause="short_timeout",
        host="d",
        evidence=("rules", "connections"),
        fails=("silence_survived", "patience"),
        repairs=(Repair("d", ("ipvsadm --set 900 120 300",)),),
    )
    for _ in FAULTS
)
