"""VS-DR in IPv6: a real server has the VIP on its card, and duplicate address detection disables it."""

from __future__ import annotations

from classroom.checks.arp import one_answer, own_addresses_answered
from classroom.checks.service import all_served, fair_shares
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr",),
    family=6,
    checks=(all_served, fair_shares, one_answer, own_addresses_answered),
)

# ---- Faults ----
# The VIP is on the card, where the kernel asks for duplicates: the director has it.

_LINE = "ifconfig lo add {vip}/128"
_DETECT = (
    "# All addresses are on the card, where they are easy to find; be thorough about duplicates.\n"
    "echo 1 > /proc/sys/net/ipv6/conf/{interface}/accept_dad\n"
    "echo 10 > /proc/sys/net/ipv6/conf/{interface}/dad_transmits\n"
)

FAULTS = tuple(
    Fault((Edit(SERVER, "realserver.sh", _LINE, _DETECT + add),))
    for add in ("ifconfig {interface} add {vip}/128", "ip addr replace {vip}/128 dev {interface}")
)

# ---- Solutions ----
# The VIP on lo.

_MENDED = Solution(
    cause="dad_failed",
    host=SERVER,
    evidence=("addresses", "capture", "settings"),
    fails=("all_served", "fair_shares"),
    repairs=(Repair(SERVER, ("ip addr del {vip}/128 dev {interface}", "ip addr add {vip}/128 dev lo")),),
)
SOLUTIONS = (_MENDED, _MENDED)
