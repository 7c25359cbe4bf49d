"""From a lab's topology to what each machine's set-up script has to say."""

from __future__ import annotations

from director.core.decision import Method
from labs.network import addresses
from labs.network.addresses import Addressing
from labs.network.topology import Leg, Machine, Role, Topology
from labs.plan import RealServer
from realserver_setup.build import (
    ClientSetup,
    DirectorSetup,
    Interface,
    RealServerSetup,
    Route,
    RouterSetup,
    Rule,
    Setup,
)


def setups_for(
    method: Method, topology: Topology, servers: tuple[RealServer, ...], at: Addressing
) -> tuple[Setup, ...]:
    """One set-up per machine, in the topology's order; raises InvalidValue."""
    ports = {server.name: server.http_port for server in servers}
    setups: list[Setup] = []
    for machine in topology.machines:
        if machine.role is Role.CLIENT:
            setups.append(ClientSetup(machine.name, _interface(machine.legs[0]), addresses.ROUTER_INTERNET))
        elif machine.role is Role.ROUTER:
            setups.append(_router(machine, topology))
        elif machine.role is Role.DIRECTOR:
            setups.append(_director(method, machine, servers, at.vip))
        else:
            setups.append(_server(method, machine, topology, ports[machine.name], at.vip))
    return tuple(setups)


def _router(machine: Machine, topology: Topology) -> RouterSetup:
    """The first router knows the way to every site; the sites' routers know the way to the VIP."""
    first = topology.by_role(Role.ROUTER)[0]
    if machine is first:
        sites = topology.by_role(Role.ROUTER)[1:]
        routes = tuple(Route(addresses.site_network(i), site.address) for i, site in enumerate(sites))
    else:
        routes = (Route(addresses.DIRECTOR_NETWORK, addresses.ROUTER_INTERNET),)
    return RouterSetup(machine.name, tuple(map(_interface, machine.legs)), routes)


def _director(method: Method, machine: Machine, servers: tuple[RealServer, ...], vip: str) -> DirectorSetup:
    outside, *inside = map(_interface, machine.legs)
    return DirectorSetup(
        method=method,
        name=machine.name,
        vip=vip,
        outside=outside,
        inside=inside[0] if inside else None,
        gateway=addresses.ROUTER_LAN,
        rules=rules_for(servers),
    )


def rules_for(servers: tuple[RealServer, ...]) -> tuple[Rule, ...]:
    """http on every real server, and ftp on those that serve it, as in the published example."""
    http = [Rule("tcp", 80, s.address, s.http_port, s.weight) for s in servers]
    ftp = [Rule("tcp", 21, s.address, 21) for s in servers if s.ftp]
    return (*http, *ftp)


def _server(
    method: Method, machine: Machine, topology: Topology, http_port: int, vip: str
) -> RealServerSetup:
    leg = machine.legs[0]
    return RealServerSetup(
        method=method,
        name=machine.name,
        interface=_interface(leg),
        gateway=_gateway(leg, topology),
        vip=vip,
        http_port=http_port,
    )


def _gateway(leg: Leg, topology: Topology) -> str:
    """The router on the server's own network; where there is none, in VS-NAT, the director."""
    for role in (Role.ROUTER, Role.DIRECTOR):
        for machine in topology.by_role(role):
            for other in machine.legs:
                if other.switch == leg.switch:
                    return other.address
    raise ValueError(f"{leg.host} has no gateway on {leg.switch}")


def _interface(leg: Leg) -> Interface:
    return Interface(leg.interface, leg.address, leg.prefix)
