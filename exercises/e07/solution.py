"""Whatever a real server sends has to pass the director."""

from __future__ import annotations

from classroom.exercise import SERVER, Repair, Solution

_WRONG = ("172.16.0.0/24", "172.16.0.0/25")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="direct_route",
        host=SERVER,
        evidence=("capture", "routes"),
        fails=("others_served",),
        repairs=(Repair(SERVER, (f"ip route del {network}",)),),
    )
    for network in _WRONG
)
