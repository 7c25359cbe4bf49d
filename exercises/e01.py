"""VS-DR: one real server has all the work, and the director none."""

from __future__ import annotations

from classroom.checks.arp import ask_without_director, own_addresses_answered
from classroom.checks.request_path import director_gets_all, fair_for_every_answer
from classroom.checks.service import all_served
from classroom.model import SERVER, Edit, Exercise, Fault, Repair, Solution

EXERCISE = Exercise(
    methods=("dr",),
    checks=(all_served, director_gets_all, fair_for_every_answer, own_addresses_answered),
    prepare=ask_without_director,
)

# ---- Faults ----
# A real server answers ARP for its lo:0: arp_ignore was never set, or switched off.

_SETTING = "/proc/sys/net/ipv4/conf/{interface}/arp_ignore"

FAULTS = (
    Fault((Edit(SERVER, "realserver.sh", _SETTING),)),
    Fault((Edit(SERVER, "realserver.sh", _SETTING, f"echo 0 > {_SETTING}"),)),
)

# ---- Solutions ----
# Silence the real server, and make the router ask again.

_MENDED = Solution(
    cause="arp_answered",
    host=SERVER,
    evidence=("arp_replies", "capture", "neighbours", "settings"),
    fails=("director_gets_all", "fair_for_every_answer"),
    repairs=(
        Repair(SERVER, ("sysctl -w net.ipv4.conf.{interface}.arp_ignore=1",)),
        Repair("r0", ("ip neigh flush to {vip}",)),
    ),
)
SOLUTIONS = (_MENDED, _MENDED)
