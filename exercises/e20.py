"""VS-DR: a real server's requests are served by another one."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.neighbours import fair_for_every_owner, one_owner_each
from classroom.checks.service import all_served
from classroom.model import OTHER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr",),
    checks=(all_served, one_owner_each, fair_for_every_owner, one_answer),
)

# ---- Faults ----
# Another real server has its address, too.

_DURING_REPAIR = """
# {server} is being repaired: answer for it meanwhile.
ifconfig {other}-eth0:1 {rip} netmask 255.255.255.0 up"""

FAULTS = (Fault((Edit(OTHER, "realserver.sh", put=_DURING_REPAIR),)),)

# ---- Solutions ----
# Remove the second one.

SOLUTIONS = (
    Solution(
        cause="duplicate_address",
        host=OTHER,
        evidence=("addresses", "arp_replies", "capture", "neighbours"),
        fails=("one_owner_each", "fair_for_every_owner"),
        repairs=(Repair(OTHER, ("ip addr del {rip}/24 dev {other}-eth0",)),),
    ),
)
