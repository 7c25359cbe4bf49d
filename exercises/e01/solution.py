"""ARP for the VIP is the director's alone, and the router has to ask again."""

from __future__ import annotations

from classroom.exercise import SERVER, Repair, Solution

_MENDED = Solution(
    cause="arp_answered",
    host=SERVER,
    evidence=("arp_replies", "capture", "neighbours", "settings"),
    fails=("director_gets_all", "fair_whatever_learnt"),
    repairs=(
        Repair(SERVER, ("sysctl -w net.ipv4.conf.{interface}.arp_ignore=1",)),
        Repair("r0", ("ip neigh flush to {vip}",)),
    ),
)
SOLUTIONS = (_MENDED, _MENDED)
