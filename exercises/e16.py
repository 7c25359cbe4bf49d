"""VS-NAT: connections are reset as soon as they begin."""

from __future__ import annotations

from classroom.checks.packet_properties import only_the_vip
from classroom.checks.service import all_served, fair_shares
from classroom.model import Edit, Exercise, Fault, Repair, Solution

_ROUTE = """
# The administrators reach the real servers through the director.
route add -net 172.16.0.0 netmask 255.255.255.0 gw {dip}"""

EXERCISE = Exercise(
    methods=("nat",),
    checks=(all_served, fair_shares, only_the_vip),
    base=(Edit("r0", "router.sh", put=_ROUTE),),
)

# ---- Faults ----
# The director's kernel forwards as well: replies leave twice, once unchanged.

_FORWARD = "/proc/sys/net/ipv4/ip_forward"

FAULTS = (
    Fault((Edit("d", "director.sh", f"echo 0 > {_FORWARD}", f"echo 1 > {_FORWARD}"),)),
    Fault((Edit("d", "director.sh", put=f"\n# As in the notes of 1999.\necho 1 > {_FORWARD}"),)),
    Fault((Edit("d", "rules.sh", put="\n# VS-NAT needs it.\nsysctl -q -w net.ipv4.ip_forward=1"),)),
)

# ---- Solutions ----
# The kernel forwards nothing; the director's process does.

SOLUTIONS = tuple(
    Solution(
        cause="ip_forward",
        host="d",
        evidence=("settings", "capture"),
        fails=("all_served", "fair_shares", "only_the_vip"),
        repairs=(Repair("d", ("echo 0 > /proc/sys/net/ipv4/ip_forward",)),),
    )
    for _ in FAULTS
)
