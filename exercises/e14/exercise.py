"""VS-TUN, VS-DR: a shop whose customers lose their baskets when they pay."""

from __future__ import annotations

from dataclasses import replace

from classroom.checks.arp import one_answer
from classroom.checks.sessions import customers_shared, one_server_each, sessions_served
from classroom.exercise import Exercise
from classroom.probes.sessions import TILL, let_them_in
from classroom.variants import Variant
from exercises.e14.faults import BASE
from labs.plan import Plan


def two_ports(plan: Plan, _case: Variant) -> Plan:
    """Every real server's httpd listens on both ports."""
    servers = tuple(replace(server, more_ports=(TILL,)) for server in plan.servers)
    return replace(plan, servers=servers)


EXERCISE = Exercise(
    title="The basket is empty when it comes to paying",
    methods=("dr", "tun"),
    checks=(sessions_served, one_server_each, customers_shared, one_answer),
    servers=(3,),
    base=BASE,
    change=two_ports,
    prepare=let_them_in,
)
