"""One more real server: the director itself."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

SOLUTIONS = (
    Solution(
        fails=("fair_shares",),
        repairs=(Repair("d", ("ippfvsadm -A -t {vip}:80 -R {dip}:80",)),),
    ),
)
