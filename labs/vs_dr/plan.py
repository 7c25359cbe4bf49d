"""VS-DR's network: director and real servers on one segment, with the router that leads out.

c1 c2 ── s1 ── r0 ── s2 ── d
                     ├──── rs1
                     ├──── rs2 ...

The packet table of VS-DR: IP addresses never change, only MAC addresses do.
"""

from __future__ import annotations

from functools import partial

from director.core.real_server import Method
from director.formats.ipvsadm_words import endpoint
from labs.hosts.setups import setups_for
from labs.network.addresses import Addressing, mac_of
from labs.network.topology import LAN, Interface, Role, Topology, common_nodes, make_node
from labs.plan import Plan, RealServer, replicas
from labs.run.options import LabOptions
from labs.run.packet_table import Hop, Row


def plan(options: LabOptions) -> Plan:
    """All real servers serve http and ftp; the second has weight 2."""
    at = options.addresses
    servers = replicas(options.servers, at.lan_server)
    topology = Topology(
        (
            *common_nodes(at),
            *(make_node(s.name, Role.SERVER, (LAN, s.address, at.prefix)) for s in servers),
        )
    )
    return Plan(
        lab="lab-dr",
        title="VS-DR: Virtual Server via Direct Routing",
        method=Method.DR,
        topology=topology,
        servers=servers,
        setups=setups_for(Method.DR, topology, servers, at, dual=options.dual),
        hops=partial(hops, at),
        replies_through_director=False,
        addresses=at,
    )


def hops(at: Addressing, server: RealServer, client: Interface, port: int) -> tuple[Hop, ...]:
    """The packets of a connection from `port` of `client` on the director's segment."""
    cip, vip = endpoint(client.address, port), endpoint(at.vip, 80)
    router, director, real = map(mac_of, (at.router_lan, at.dip, server.address))
    request, reply = "GET /index.html", "HTTP/1.1 200 OK"
    return (
        Hop("r0-eth1", True, Row("request", cip, vip, request, source_mac=router, dest_mac=director)),
        Hop("d-eth0", True, Row("forwarded", cip, vip, request, source_mac=director, dest_mac=real)),
        Hop(f"{server.name}-eth0", True, Row("reply", vip, cip, reply, source_mac=real, dest_mac=router)),
    )
