"""The VIP, where it belongs."""

from __future__ import annotations

from classroom.exercise import SERVER, Repair, Solution

_DEVICES = ("lo", "tunl0", "lo", "tunl0")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="vip_missing",
        host=SERVER,
        evidence=("addresses", "counters"),
        fails=("all_served", "fair_shares"),
        repairs=(Repair(SERVER, (f"ip addr add {{vip}}/32 dev {device}",)),),
    )
    for device in _DEVICES
)
