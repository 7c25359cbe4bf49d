"""Two directors: both have the VIP, because one of them does not hear, or does not believe, the other."""

from __future__ import annotations

from classroom.checks.service import all_served
from classroom.checks.two_directors import one_owner, takes_over
from classroom.model import Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(methods=("ha",), checks=(one_owner, takes_over, all_served))

# ---- Faults ----
# Advertisements are filtered; or another virtual router id, or another list of addresses.

_FILTER = """\
nft add table ip firewall
nft flush table ip firewall
nft 'add chain ip firewall input { type filter hook input priority 0; policy accept; }'
nft 'add rule ip firewall input ip protocol vrrp drop'"""
_VIRTUAL_ID, _ADDRESS = "virtual_router_id 51", "{vip}/32 dev d2-eth0"
FAULTS = (
    Fault((Edit("d2", "director.sh", "", _FILTER),)),
    Fault((Edit("d2", "keepalived.conf", _VIRTUAL_ID, "    virtual_router_id 15"),)),
    Fault((Edit("d2", "keepalived.conf", _ADDRESS, "{line}\n        203.0.113.222/32 dev d2-eth0"),)),
)

# ---- Solutions ----
# d2 hears d1 again, or has what d1 has, and gives way.

_GIVEN_UP = "while ip -o addr show dev d2-eth0 | grep -q ' {vip}/'; do sleep 0.1; done"
_RESTART = (
    "pkill -f '[r]esync --events .*events-d2'",
    "while pgrep -f '[r]esync --events .*events-d2' > /dev/null; do sleep 0.1; done",
    "setsid sh takeover.sh > /dev/null 2>&1 &",
    "until pgrep -f '[r]esync --events .*events-d2' > /dev/null; do sleep 0.1; done",
)
_UNLIKE = "takeover_differs", ("configuration", "capture", "log")
SOLUTIONS = tuple(
    Solution(
        cause=cause,
        host="d2",
        evidence=evidence,
        fails=("one_owner",),
        repairs=(Repair("d2", (*commands, _GIVEN_UP)),),
    )
    for cause, evidence, commands in (
        ("two_masters", ("packet_filter",), ("nft delete table ip firewall",)),
        (*_UNLIKE, ("sed -i 's/virtual_router_id 15/virtual_router_id 51/' keepalived.conf", *_RESTART)),
        (*_UNLIKE, ("sed -i '/203.0.113.222/d' keepalived.conf", *_RESTART)),
    )
)
