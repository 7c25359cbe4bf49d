"""VS-TUN's network: real servers at up to eight sites, each behind a router of its own.

c1 c2 ── s1 ── r0 ── s2 ── d
         ├──── r1 ── s3 ── rs1 rs9 ...
         ├──── r2 ── s4 ── rs2 ...
"""

from __future__ import annotations

from functools import partial

from director.core.real_server import Method
from labs.hosts.setups import setups_for
from labs.network import addresses
from labs.network.topology import INTERNET, Node, Role, Topology, common_nodes, make_node
from labs.plan import Plan, RealServer, replicas
from labs.run.options import LabOptions
from labs.vs_tun.packets import hops


def plan(options: LabOptions) -> Plan:
    """Every real server serves http and ftp from another network; the second counts twice."""
    at = options.addresses
    servers = replicas(options.servers, at.site_server)
    sites = range(min(options.servers, addresses.SITES))
    topology = Topology((*common_nodes(at), *map(_router, sites), *map(_real_server, servers)))
    return Plan(
        lab="lab-tun",
        title="VS-TUN: Virtual Server via IP Tunneling",
        method=Method.TUN,
        topology=topology,
        servers=servers,
        setups=setups_for(Method.TUN, topology, servers, at),
        hops=partial(hops, at),
        replies_through_director=False,
        addresses=at,
    )


def _router(site: int) -> Node:
    return make_node(
        f"r{site + 1}",
        Role.ROUTER,
        (INTERNET, addresses.site_uplink(site), addresses.PREFIX),
        (_switch(site), addresses.site_router(site), addresses.SITE_PREFIX),
    )


def _real_server(server: RealServer) -> Node:
    site = addresses.site_of(int(server.name.removeprefix("rs")))
    return make_node(server.name, Role.SERVER, (_switch(site), server.address, addresses.SITE_PREFIX))


def _switch(site: int) -> str:
    return f"s{site + 3}"
