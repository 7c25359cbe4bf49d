"""VS-DR: all is well after the router is flushed, and some time later one real server has all the work."""

from __future__ import annotations

from classroom.checks.arp import one_answer, own_addresses_answered
from classroom.checks.request_path import director_gets_all_after_flush, fair_after_flush, flush_neighbours
from classroom.checks.service import all_served
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

_ROUTER = """
# Like large routers, it keeps its neighbour entries for hours.
echo 14400 > /proc/sys/net/ipv4/neigh/r0-eth1/delay_first_probe_time"""

EXERCISE = Exercise(
    methods=("dr",),
    checks=(
        *(all_served, one_answer, own_addresses_answered),
        *(director_gets_all_after_flush, fair_after_flush),
    ),
    base=(Edit("r0", "router.sh", put=_ROUTER),),
    prepare=flush_neighbours,
)

# ---- Faults ----
# A real server asks for its router with the VIP as sender: arp_announce not set, switched off, or too low.
# At 1 it still does: the VIP is in the same network as the router.

_SETTING = "/proc/sys/net/ipv4/conf/{interface}/arp_announce"


def _put(line: str) -> Fault:
    return Fault((Edit(SERVER, "realserver.sh", _SETTING, line),))


FAULTS = (_put(""), _put(f"echo 0 > {_SETTING}"), _put(f"echo 1 > {_SETTING}"))

# ---- Solutions ----
# Requests carry the interface's own address, and the router has to ask again.

_MENDED = Solution(
    cause="arp_announced",
    host=SERVER,
    evidence=("capture", "neighbours", "settings"),
    fails=("director_gets_all_after_flush", "fair_after_flush"),
    repairs=(
        Repair(SERVER, ("sysctl -w net.ipv4.conf.{interface}.arp_announce=2",)),
        Repair("r0", ("ip neigh flush to {vip}",)),
    ),
)
SOLUTIONS = (_MENDED, _MENDED, _MENDED)
