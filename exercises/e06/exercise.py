"""VS-NAT: requests reach a real server, and nothing comes back."""

from __future__ import annotations

from classroom.checks.clients import no_strangers, others_served
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import SERVERS, Edit, Exercise

_NO_ROUTER = """
# A real server is no router: it forwards nothing.
echo 0 > /proc/sys/net/ipv4/ip_forward"""

EXERCISE = Exercise(
    title="Asked, and never heard of again",
    methods=("nat",),
    checks=(all_served, fair_shares, others_served, no_strangers),
    base=(Edit(SERVERS, "realserver.sh", put=_NO_ROUTER),),
)
