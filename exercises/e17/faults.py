"""An httpd listens on another port than the VIP's; the rule may say so as well, in vain."""

from __future__ import annotations

from dataclasses import replace

from classroom.exercise import Edit, Fault
from classroom.variants import Variant
from labs.plan import Plan

_PORT = 8000
_FLAGS = {"dr": "-g", "tun": "-i"}


def _elsewhere(plan: Plan, variant: Variant) -> Plan:
    """The httpd of the picked server listens there, and nowhere else."""
    servers = tuple(
        replace(one, http_port=_PORT) if one.name == variant.server else one for one in plan.servers
    )
    return replace(plan, servers=servers)


def _said_in_the_rule(method: str) -> Fault:
    """Today's tool takes such a rule without a word, and leaves the port as it is."""
    put = (
        "ipvsadm -A -t {vip}:80 -s rr 2> /dev/null || true  # unless the service is there already\n"
        f"ipvsadm -a -t {{vip}}:80 -r {{rip}}:{_PORT} {_FLAGS[method]}"
    )
    return Fault((Edit("d", "rules.sh", ":80 -R {rip}:80", put),), (method,), _elsewhere)


FAULTS = (Fault(change=_elsewhere), _said_in_the_rule("dr"), _said_in_the_rule("tun"))
