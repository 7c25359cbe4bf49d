"""VS-NAT, VS-DR: the director is to serve, too."""

from __future__ import annotations

from dataclasses import replace

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import Exercise
from classroom.variants import Variant
from exercises.local_node.faults import BASE
from labs.plan import Plan, RealServer


def one_more(plan: Plan, _case: Variant) -> Plan:
    """The director has an httpd as well, on every address that it has."""
    node = RealServer("d", plan.addresses.dip, http_port=80, weight=1, ftp=False)
    return replace(plan, servers=(*plan.servers, node))


EXERCISE = Exercise(
    title="Let the director serve, too",
    methods=("nat", "dr"),
    checks=(all_served, fair_shares, one_answer),
    servers=(2, 3),
    base=BASE,
    change=one_more,
    diagnosis=False,
)
