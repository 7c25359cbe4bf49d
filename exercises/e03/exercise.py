"""VS-DR: well after the router was cleared, and some time later one real server has all the work."""

from __future__ import annotations

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served
from classroom.checks.way import director_gets_all_later, fair_later
from classroom.exercise import Edit, Exercise
from classroom.probes.way import forget

_ROUTER = """
# It keeps what it has learnt of its neighbours, as large routers do, for hours.
echo 14400 > /proc/sys/net/ipv4/neigh/r0-eth1/delay_first_probe_time"""

EXERCISE = Exercise(
    title="Fine at first",
    methods=("dr",),
    checks=(all_served, one_answer, director_gets_all_later, fair_later),
    base=(Edit("r0", "router.sh", put=_ROUTER),),
    prepare=forget,
)
