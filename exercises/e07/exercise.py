"""VS-NAT with a client on the real servers' own network: there, some connections hang."""

from __future__ import annotations

from dataclasses import replace

from classroom.checks.clients import no_strangers, others_served
from classroom.checks.service import all_served, fair_shares
from classroom.exercise import SERVERS, Edit, Exercise
from classroom.variants import Variant
from labs.network import addresses
from labs.network.topology import PRIVATE, Role, Topology, make_node
from labs.plan import Plan
from realserver_setup.build import ClientSetup, Interface

_ROUTES = """\
# There are clients on this network, too, and what they get has to pass the director as well:
# it is the only neighbour that is reached directly, and the way to everybody else.
route add -host {inside} dev {host}-eth0
route add default gw {inside}
route del -net 172.16.0.0 netmask 255.255.255.0"""


def _with_client(plan: Plan, variant: Variant) -> Plan:
    """c3, on the private network; the director is its gateway."""
    address = f"172.16.0.{101 + variant.addresses.clients}"
    client = make_node("c3", Role.CLIENT, (PRIVATE, address, addresses.PREFIX))
    interface = Interface(client.interfaces[0].name, address, addresses.PREFIX)
    return replace(
        plan,
        topology=Topology((*plan.topology.nodes, client)),
        setups=(*plan.setups, ClientSetup("c3", interface, addresses.DIRECTOR_INSIDE)),
    )


EXERCISE = Exercise(
    title="From outside it works",
    methods=("nat",),
    checks=(all_served, fair_shares, others_served, no_strangers),
    base=(Edit(SERVERS, "realserver.sh", "route add default gw", _ROUTES),),
    change=_with_client,
)
