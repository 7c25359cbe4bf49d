"""VS-DR's network: director and real servers on one segment, with the router that leads out.

c1 c2 ── s1 ── r0 ── s2 ── d
                     ├──── rs1
                     ├──── rs2 ...
"""

from __future__ import annotations

from functools import partial

from director.core.real_server import Method
from labs.hosts.setups import setups_for
from labs.network import addresses
from labs.network.topology import LAN, Role, Topology, common_nodes, make_node
from labs.plan import Plan, replicas
from labs.run.options import LabOptions
from labs.vs_dr.packets import hops


def plan(options: LabOptions) -> Plan:
    """Every real server serves http and ftp; the second counts twice."""
    at = options.addresses
    servers = replicas(options.servers, at.lan_server)
    topology = Topology(
        (
            *common_nodes(at),
            *(make_node(s.name, Role.SERVER, (LAN, s.address, addresses.PREFIX)) for s in servers),
        )
    )
    return Plan(
        lab="lab-dr",
        title="VS-DR: Virtual Server via Direct Routing",
        method=Method.DR,
        topology=topology,
        servers=servers,
        setups=setups_for(Method.DR, topology, servers, at),
        hops=partial(hops, at),
        replies_through_director=False,
        addresses=at,
    )
