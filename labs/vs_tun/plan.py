"""VS-TUN's network: real servers at up to eight sites, each behind its own router.

c1 c2 ── s1 ── r0 ── s2 ── d
         ├──── r1 ── s3 ── rs1 rs9 ...
         ├──── r2 ── s4 ── rs2 ...

The packet table of VS-TUN: the request travels inside another packet, the reply returns directly.
"""

from __future__ import annotations

from functools import partial

from director.core.real_server import Method
from director.formats.ipvsadm_words import endpoint
from labs.hosts.setups import setups_for
from labs.network import addresses
from labs.network.addresses import Addressing
from labs.network.topology import INTERNET, Interface, Node, Role, Topology, common_nodes, make_node
from labs.plan import Plan, RealServer, replicas
from labs.run.options import LabOptions
from labs.run.packet_table import Hop, Row
from realserver_setup.build import TUNNELS


def plan(options: LabOptions) -> Plan:
    """Real servers in several networks serve http and ftp; the second has weight 2."""
    at = options.addresses
    servers = replicas(options.servers, at.site_server)
    sites = range(min(options.servers, addresses.SITES))
    topology = Topology(
        (
            *common_nodes(at),
            *(_router(site, at) for site in sites),
            *(_real_server(server, at) for server in servers),
        )
    )
    return Plan(
        lab="lab-tun",
        title="VS-TUN: Virtual Server via IP Tunneling",
        method=Method.TUN,
        topology=topology,
        servers=servers,
        setups=setups_for(Method.TUN, topology, servers, at, dual=options.dual),
        hops=partial(hops, at),
        replies_through_director=False,
        addresses=at,
    )


def _router(site: int, at: Addressing) -> Node:
    return make_node(
        f"r{site + 1}",
        Role.ROUTER,
        (INTERNET, at.site_uplink(site), at.prefix),
        (_switch(site), at.site_router(site), at.site_prefix),
    )


def _real_server(server: RealServer, at: Addressing) -> Node:
    site = addresses.site_of(int(server.name.removeprefix("rs")))
    return make_node(server.name, Role.SERVER, (_switch(site), server.address, at.site_prefix))


def _switch(site: int) -> str:
    return f"s{site + 3}"


def hops(at: Addressing, server: RealServer, client: Interface, port: int) -> tuple[Hop, ...]:
    """The packets of a connection from `port` of `client`, each captured where it leaves.

    The outer source is the director's own address, the DIP.
    """
    cip, vip = endpoint(client.address, port), endpoint(at.vip, 80)
    request, reply = "GET /index.html", "HTTP/1.1 200 OK"
    tunnelled = Row("encapsulated", cip, vip, request, outer_source=at.dip, outer_dest=server.address)
    return (
        Hop(client.name, True, Row("request", cip, vip, request)),
        Hop("d-eth0", True, tunnelled),
        Hop(f"{server.name}-{TUNNELS[at.version]}", False, Row("decapsulated", cip, vip, request)),
        Hop(f"{server.name}-eth0", True, Row("reply", vip, cip, reply)),
    )
