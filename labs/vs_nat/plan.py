"""VS-NAT's network: a private net behind the director, which is the real servers' gateway.

c1 c2 ── s1 ── r0 ── s2 ── d ── s3 ── rs1 rs2 rs3 ...

The packet table of VS-NAT: four packets, four pairs of addresses.
"""

from __future__ import annotations

from functools import partial

from director.core.real_server import Method
from director.formats.ipvsadm_words import endpoint
from labs.hosts.setups import setups_for
from labs.network.addresses import Addressing
from labs.network.topology import PRIVATE, Interface, Role, Topology, common_nodes, make_node
from labs.plan import Plan, RealServer
from labs.run.options import LabOptions
from labs.run.packet_table import Hop, Row


def plan(options: LabOptions) -> Plan:
    """The published example for the first two real servers; all further ones serve http as well."""
    at = options.addresses
    servers = tuple(_server(number, options.servers, at) for number in range(1, options.servers + 1))
    topology = Topology(
        (
            *common_nodes(at, (PRIVATE, at.director_inside, at.prefix)),
            *(make_node(s.name, Role.SERVER, (PRIVATE, s.address, at.prefix)) for s in servers),
        )
    )
    return Plan(
        lab="lab-nat",
        title="VS-NAT: Virtual Server via Network Address Translation",
        method=Method.NAT,
        topology=topology,
        servers=servers,
        setups=setups_for(Method.NAT, topology, servers, at, dual=options.dual),
        hops=partial(hops, at),
        replies_through_director=True,
        addresses=at,
    )


def _server(number: int, of: int, at: Addressing) -> RealServer:
    """As published: the second listens on port 8000, has weight 2, and serves ftp."""
    second = number == 2
    return RealServer(
        name=f"rs{number}",
        address=at.private_server(number),
        http_port=8000 if second else 80,
        weight=2 if second else 1,
        ftp=second or of == 1,
    )


def hops(at: Addressing, server: RealServer, client: Interface, port: int) -> tuple[Hop, ...]:
    """The packets of a connection from `port` of `client`, each captured where it leaves."""
    cip, vip = endpoint(client.address, port), endpoint(at.vip, 80)
    rip = endpoint(server.address, server.http_port)
    request, reply = "GET /index.html", "HTTP/1.1 200 OK"
    return (
        Hop(client.name, True, Row("request", cip, vip, request)),
        Hop("d-eth1", True, Row("inbound rewriting", cip, rip, request)),
        Hop(f"{server.name}-eth0", True, Row("reply to load balancer", rip, cip, reply)),
        Hop("d-eth0", True, Row("outbound rewriting", vip, cip, reply)),
    )
