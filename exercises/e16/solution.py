"""The kernel forwards nothing; the director's process does."""

from __future__ import annotations

from classroom.exercise import Repair, Solution
from exercises.e16.faults import FAULTS

SOLUTIONS = tuple(
    Solution(
        cause="ip_forward",
        host="d",
        evidence=("settings", "capture"),
        fails=("all_served", "fair_shares", "only_the_vip"),
        repairs=(Repair("d", ("echo 0 > /proc/sys/net/ipv4/ip_forward",)),),
    )
    for _ in FAULTS
)
