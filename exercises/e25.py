"""Two directors: both have the VIP, because one does not receive the other's adverts."""

from __future__ import annotations

from classroom.checks.service import all_served
from classroom.checks.two_directors import one_owner, takes_over
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(methods=("ha",), checks=(one_owner, takes_over, all_served))

# ---- Faults ----
# Advertisements are filtered.

_FILTER = """\
nft add table ip firewall
nft flush table ip firewall
nft 'add chain ip firewall input { type filter hook input priority 0; policy accept; }'
nft 'add rule ip firewall input ip protocol vrrp drop'"""
FAULTS = (Fault((Edit("d2", "director.sh", "", _FILTER),)),)

# ---- Solutions ----
# d2 hears d1 again, and gives way.

_GIVEN_UP = "while ip -o addr show dev d2-eth0 | grep -q ' {vip}/'; do sleep 0.1; done"
SOLUTIONS = (
    Solution(
        cause="two_masters",
        host="d2",
        evidence=("packet_filter",),
        fails=("one_owner",),
        repairs=(Repair("d2", ("nft delete table ip firewall", _GIVEN_UP)),),
    ),
)
