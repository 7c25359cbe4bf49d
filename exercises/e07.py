"""VS-NAT with a client on the real servers' own network, where some connections hang."""

from __future__ import annotations

from dataclasses import replace

from classroom.checks.service import all_served, fair_shares, others_served, real_client_addresses
from classroom.model import SERVER, SERVERS, Edit, Exercise, Fault, Repair, Solution, Variant
from labs.network import addresses
from labs.network.topology import PRIVATE, Role, Topology, make_node
from labs.plan import Plan
from realserver_setup.build import ClientSetup, Interface

_ROUTES = """\
# There are clients on this network, too, and their replies must pass the director as well:
# it is the only neighbour reached directly, and the gateway to all other hosts.
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
    methods=("nat",),
    checks=(all_served, fair_shares, others_served, real_client_addresses),
    base=(Edit(SERVERS, "realserver.sh", "route add default gw", _ROUTES),),
    change=_with_client,
)

# ---- Faults ----
# A real server reaches the private network, or the half of it with the client, without the director.

_REMOVED = "route del -net 172.16.0.0"
_HALF = """
# The hosts of the data centre are on this link.
route add -net 172.16.0.0 netmask 255.255.255.128 dev {interface}"""

FAULTS = (
    Fault((Edit(SERVER, "realserver.sh", _REMOVED),)),
    Fault((Edit(SERVER, "realserver.sh", put=_HALF),)),
)

# ---- Solutions ----
# Everything a real server sends must pass the director.

_WRONG = ("172.16.0.0/24", "172.16.0.0/25")  # in the order of the faults

SOLUTIONS = tuple(
    Solution(
        cause="direct_route",
        host=SERVER,
        evidence=("capture", "routes"),
        fails=("others_served",),
        repairs=(Repair(SERVER, (f"ip route del {network}",)),),
    )
    for network in _WRONG
)
