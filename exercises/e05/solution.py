"""Packets out of the tunnel are not judged by where their senders are reached."""

from __future__ import annotations

from classroom.exercise import SERVER, Repair, Solution

# In the order of the faults; the larger of the two counts, and 2 asks only whether there is a way at all.
_REPAIRS = (
    ("sysctl -w net.ipv4.conf.tunl0.rp_filter=0",),
    ("sysctl -w net.ipv4.conf.all.rp_filter=0",),
    ("sysctl -w net.ipv4.conf.tunl0.rp_filter=2",),
)

SOLUTIONS = tuple(
    Solution(
        cause="rp_filter",
        host=SERVER,
        evidence=("counters", "settings"),
        fails=("all_served", "fair_shares"),
        repairs=(Repair(SERVER, commands),),
    )
    for commands in _REPAIRS
)
