"""VS-DR: a real server serves all clients, and no health check."""

from __future__ import annotations

from classroom.checks.neighbours import all_healthy
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr",),
    checks=(all_served, fair_shares, all_healthy),
)

# ---- Faults ----
# The VIP on lo:0 has the netmask of a network: the server takes its neighbours' addresses for its own.

_VIP = "ifconfig lo:0 {vip} netmask"


def _vip(command: str) -> Fault:
    return Fault((Edit(SERVER, "realserver.sh", _VIP, command),))


FAULTS = (
    _vip("ifconfig lo:0 {vip} netmask 255.255.255.0 broadcast 203.0.113.255 up"),
    _vip("ifconfig lo:0 {vip} up"),  # ifconfig takes the netmask of the class: 255.255.255.0
)

# ---- Solutions ----
# The VIP is a network of one address.

SOLUTIONS = tuple(
    Solution(
        cause="wrong_netmask",
        host=SERVER,
        evidence=("addresses", "routes", "capture"),
        fails=("all_healthy",),
        repairs=(Repair(SERVER, ("ifconfig lo:0 {vip} netmask 255.255.255.255 broadcast {vip} up",)),),
    )
    for _ in FAULTS
)
