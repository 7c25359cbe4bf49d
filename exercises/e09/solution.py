"""The filter goes, or lets this ICMP pass."""

from __future__ import annotations

from classroom.exercise import Repair, Solution

_HOSTS = ("r0", "c1", "r0", "c1")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="icmp_filtered",
        host=host,
        evidence=("packet_filter", "capture"),
        fails=("uploads_arrive", "length_learnt"),
        repairs=(Repair(host, ("nft delete table ip firewall",)),),
    )
    for host in _HOSTS
)
