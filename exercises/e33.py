"""Two directors: both have the VIP, because their settings of the virtual router are not the same."""

from __future__ import annotations

from classroom.checks.service import all_served
from classroom.checks.two_directors import one_owner, takes_over
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(methods=("ha",), checks=(one_owner, takes_over, all_served))

# ---- Faults ----
# Another virtual router id, or another list of addresses: an advertisement is another router's, or wrong.

_VIRTUAL_ID, _ADDRESS = "virtual_router_id 51", "{vip}/32 dev d2-eth0"
FAULTS = (
    Fault((Edit("d2", "keepalived.conf", _VIRTUAL_ID, "    virtual_router_id 15"),)),
    Fault((Edit("d2", "keepalived.conf", _ADDRESS, "{line}\n        203.0.113.222/32 dev d2-eth0"),)),
)

# ---- Solutions ----
# d2 has what d1 has, and gives way.

_GIVEN_UP = "while ip -o addr show dev d2-eth0 | grep -q ' {vip}/'; do sleep 0.1; done"
_RESTART = (
    "pkill -f '[r]esync --events .*events-d2'",
    "while pgrep -f '[r]esync --events .*events-d2' > /dev/null; do sleep 0.1; done",
    "setsid sh takeover.sh > /dev/null 2>&1 &",
    "until pgrep -f '[r]esync --events .*events-d2' > /dev/null; do sleep 0.1; done",
)
SOLUTIONS = tuple(
    Solution(
        cause="takeover_differs",
        host="d2",
        evidence=("configuration", "capture", "log"),
        fails=("one_owner",),
        repairs=(Repair("d2", (f"sed -i '{edit}' keepalived.conf", *_RESTART, _GIVEN_UP)),),
    )
    for edit in ("s/virtual_router_id 15/virtual_router_id 51/", "/203.0.113.222/d")
)
