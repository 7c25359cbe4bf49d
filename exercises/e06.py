"""VS-NAT: requests reach a real server, and nothing comes back."""

from __future__ import annotations

from classroom.checks.service import (
    all_served,
    every_client_answered,
    fair_shares,
    others_served,
    real_client_addresses,
)
from classroom.model import SERVER, SERVERS, Edit, Exercise, Fault, Repair, Solution

_NO_ROUTER = """
# A real server is not a router: it forwards nothing.
echo 0 > /proc/sys/net/ipv4/ip_forward"""

EXERCISE = Exercise(
    methods=("nat",),
    checks=(all_served, fair_shares, others_served, real_client_addresses, every_client_answered),
    base=(Edit(SERVERS, "realserver.sh", put=_NO_ROUTER),),
)

# ---- Faults ----
# A real server's default gateway: none, one that does not exist, or another real server.

_GATEWAY = "route add default gw"


def _put(line: str) -> Fault:
    return Fault((Edit(SERVER, "realserver.sh", _GATEWAY, line),))


FAULTS = (_put(""), _put(f"{_GATEWAY} 172.16.0.254"), _put(f"{_GATEWAY} {{other_rip}}"))

# ---- Solutions ----
# The director is the default gateway.

# In the order of the faults: a counter, a neighbour that does not exist, and where the reply goes.
_EVIDENCE = (("routes", "counters"), ("routes", "neighbours"), ("routes", "capture"))

SOLUTIONS = tuple(
    Solution(
        cause="no_gateway",
        host=SERVER,
        evidence=evidence,
        fails=("all_served", "fair_shares", "others_served", "every_client_answered"),
        repairs=(Repair(SERVER, ("ip route replace default via {inside}",)),),
    )
    for evidence in _EVIDENCE
)
