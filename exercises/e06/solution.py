"""The director is the gateway."""

from __future__ import annotations

from classroom.exercise import SERVER, Repair, Solution

# In the order of the faults: what is counted, who is not found, and where the reply goes.
_EVIDENCE = (("routes", "counters"), ("routes", "neighbours"), ("routes", "capture"))

SOLUTIONS = tuple(
    Solution(
        cause="no_gateway",
        host=SERVER,
        evidence=evidence,
        fails=("all_served", "fair_shares", "others_served"),
        repairs=(Repair(SERVER, ("ip route replace default via {inside}",)),),
    )
    for evidence in _EVIDENCE
)
