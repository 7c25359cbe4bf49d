"""VS-NAT, VS-DR: the director becomes a real server of its own service."""

from __future__ import annotations

from dataclasses import replace

from classroom.checks.arp import one_answer
from classroom.checks.service import all_served, fair_shares
from classroom.model import Edit, Exercise, Fault, Repair, Solution, Variant
from labs.plan import Plan, RealServer

# ---- Faults ----
# The rule is missing; BASE adds it to the working lab.

BASE = (Edit("d", "rules.sh", put="ippfvsadm -A -t {vip}:80 -R 127.0.0.1:80"),)

FAULTS = (Fault((Edit("d", "rules.sh", "-R 127.0.0.1:80"),)),)

# ---- Exercise ----


def _add_local_node(plan: Plan, _variant: Variant) -> Plan:
    """Run an httpd on the director as well, on all of its addresses."""
    node = RealServer("d", plan.addresses.dip, http_port=80, weight=1, ftp=False)
    return replace(plan, servers=(*plan.servers, node))


EXERCISE = Exercise(
    methods=("nat", "dr"),
    checks=(all_served, fair_shares, one_answer),
    servers=(2, 3),
    base=BASE,
    change=_add_local_node,
    diagnosis=False,
)

# ---- Solutions ----
# Add the director itself as a real server.

SOLUTIONS = (
    Solution(
        fails=("fair_shares",),
        repairs=(Repair("d", ("ippfvsadm -A -t {vip}:80 -R {dip}:80",)),),
    ),
)
