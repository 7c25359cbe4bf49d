"""Questions are asked in the interface's own name, and the router has to ask again."""

from __future__ import annotations

from classroom.exercise import SERVER, Repair, Solution

_MENDED = Solution(
    cause="arp_announced",
    host=SERVER,
    evidence=("capture", "neighbours", "settings"),
    fails=("director_gets_all_later", "fair_later"),
    repairs=(
        Repair(SERVER, ("sysctl -w net.ipv4.conf.{interface}.arp_announce=2",)),
        Repair("r0", ("ip neigh flush to {vip}",)),
    ),
)
SOLUTIONS = (_MENDED, _MENDED, _MENDED)
