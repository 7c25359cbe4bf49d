"""VS-NAT: connections are reset as soon as they have begun."""

from __future__ import annotations

from classroom.checks.service import all_served, fair_shares
from classroom.checks.sources import only_the_vip
from classroom.exercise import Edit, Exercise

_WAY = """
# The administrators reach the real servers by way of the director.
route add -net 172.16.0.0 netmask 255.255.255.0 gw {dip}"""

EXERCISE = Exercise(
    title="Reset before the first word",
    methods=("nat",),
    checks=(all_served, fair_shares, only_the_vip),
    base=(Edit("r0", "router.sh", put=_WAY),),
)
