"""Checksums where they belong: in the kernel of the sender."""

from __future__ import annotations

from classroom.exercise import SERVERS, Repair, Solution

_OFF = "for i in $(ip -o link | grep -o '[a-z0-9]*-eth0'); do ethtool -K $i tx off; done"
_HOSTS = (SERVERS, SERVERS, "c1", "c1")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="checksum_offload",
        host=host,
        evidence=("offloads", "counters", "capture"),
        fails=("all_served", "fair_shares", "none_damaged"),
        repairs=(Repair(host, (_OFF,)),),
    )
    for host in _HOSTS
)
