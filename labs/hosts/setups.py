"""Set-up scripts of a lab: the values for each node's script, from the topology, and the scripts in order."""

from __future__ import annotations

from dataclasses import replace

from director.core.real_server import Method
from labs.network.addresses import Addressing
from labs.network.topology import Interface, Node, Role, Topology
from labs.plan import Plan, RealServer
from realserver_setup import build
from realserver_setup.build import (
    ClientSetup,
    DirectorSetup,
    RealServerSetup,
    Route,
    RouterSetup,
    Rule,
    Setup,
)
from realserver_setup.render import Script, script_for
from realserver_setup.render import rules_for as rules_script


def setups_for(
    method: Method, topology: Topology, servers: tuple[RealServer, ...], at: Addressing, *, dual: bool = False
) -> tuple[Setup, ...]:
    """One set-up per node, in the order of the topology. Raises InvalidValue.

    `dual`: the nodes have another set-up for their addresses in the other IP version.
    """
    ports = {server.name: server.http_port for server in servers}
    is_alone = len(topology.directors) == 1
    setups: list[Setup] = []
    for node in topology.nodes:
        if node.role is Role.CLIENT:
            setups.append(ClientSetup(node.name, interface_of(node.interfaces[0]), at.router_internet))
        elif node.role is Role.ROUTER:
            setups.append(_router(node, topology, at))
        elif node.role is Role.DIRECTOR:
            setups.append(_director(method, node, servers, at, is_alone=is_alone))
        else:
            setups.append(_server(method, node, topology, ports[node.name], at))
    return tuple(replace(setup, dual=True) for setup in setups) if dual else tuple(setups)


def _router(node: Node, topology: Topology, at: Addressing) -> RouterSetup:
    """The first router has a route to every site; the routers of the sites have one to the VIP."""
    first = topology.by_role(Role.ROUTER)[0]
    if node is first:
        sites = topology.by_role(Role.ROUTER)[1:]
        routes = tuple(Route(at.site_network(i), site.address) for i, site in enumerate(sites))
    else:
        routes = (Route(at.director_network, at.router_internet),)
    return RouterSetup(node.name, tuple(map(interface_of, node.interfaces)), routes)


def _director(
    method: Method, node: Node, servers: tuple[RealServer, ...], at: Addressing, *, is_alone: bool
) -> DirectorSetup:
    outside, *inside = map(interface_of, node.interfaces)
    return DirectorSetup(
        method=method,
        name=node.name,
        vip=at.vip,
        outside=outside,
        inside=inside[0] if inside else None,
        gateway=at.router_lan,
        rules=rules_for(servers),
        owns_vip=is_alone,
    )


def rules_for(servers: tuple[RealServer, ...]) -> tuple[Rule, ...]:
    """Rules for http on every real server, and ftp on those that serve it, as in the published example."""
    http = [Rule("tcp", 80, s.address, s.http_port, s.weight) for s in servers]
    ftp = [Rule("tcp", 21, s.address, 21) for s in servers if s.ftp]
    return (*http, *ftp)


def _server(
    method: Method, node: Node, topology: Topology, http_port: int, at: Addressing
) -> RealServerSetup:
    interface = node.interfaces[0]
    return RealServerSetup(
        method=method,
        name=node.name,
        interface=interface_of(interface),
        gateway=_gateway(interface, topology, at),
        vip=at.vip,
        http_port=http_port,
    )


def _gateway(interface: Interface, topology: Topology, at: Addressing) -> str:
    """The router on the server's own network; in VS-NAT, where that has no router, the director.

    With two directors, it is the address that the active one has.
    """
    for role in (Role.ROUTER, Role.DIRECTOR):
        found = [
            other
            for node in topology.by_role(role)
            for other in node.interfaces
            if other.switch == interface.switch
        ]
        if found:
            return found[0].address if len(found) == 1 else at.director_inside
    raise ValueError(f"{interface.node} has no gateway on {interface.switch}")


def interface_of(interface: Interface) -> build.Interface:
    return build.Interface(interface.name, interface.address, interface.prefix)


def scripts_in_order(plan: Plan, dialect: str) -> list[Script]:
    """The scripts that build a lab, in the order of their execution; the rules come last."""
    scripts = [script_for(setup, dialect) for setup in plan.setups]
    return scripts + [rules_script(setup) for setup in plan.setups if isinstance(setup, DirectorSetup)]


def show_scripts(plan: Plan, dialect: str) -> None:
    """Print the scripts, each under its name."""
    for script in scripts_in_order(plan, dialect):
        print(f"# ---- {script.name} ----")
        print(script.text)
