"""The next hops of a host, actual and planned.

The hosts on a packet's path, and the addresses that each of them has to reach:

    clients, and the router in front of the director        the VIP
    director                                                each real server; in VS-NAT each client
    VS-TUN: the same router, and those of the sites         each real server (a site's router: its own)
    real servers                                            each client
    the router in front of the director, in VS-TUN those of the sites
                                                            each client
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from doctor.state import (
    CLIENT,
    DIRECTOR,
    ROUTER,
    SERVER,
    HostState,
    LabState,
    NextHop,
    Plug,
    PolicyRule,
    Route,
)

_DEFAULT, _IPV6 = "default", 6


@dataclass(frozen=True, slots=True)
class Step:
    """A host on a path, the address it has to reach, and its planned next hop (gateway "": directly)."""

    host: HostState
    target: str
    gateway: str
    interface: str

    @property
    def actual(self) -> NextHop:
        """The actual next hop; on a router with policy rules, for forwarded packets, which may match others.

        Without such rules, the kernel lacks a route for forwarded packets only where it does not forward, or
        where the reverse-path filter drops them: these are causes of their own.
        """
        hops = self.host.next_hops if self.host.role == ROUTER and self.host.rules else ()
        forwarded = [hop for hop in hops if hop.target == self.target and hop.inbound]
        possible = forwarded or next_hops(self.host, self.target)
        return next((hop for hop in possible if not self._is_planned(hop)), possible[0])

    @property
    def is_right(self) -> bool:
        return self._is_planned(self.actual)

    @property
    def takes(self) -> bool:
        """Whether a local route makes the host accept the packets, although it does not have the address."""
        return self.actual.local and self.host.takes(self.target)

    def _is_planned(self, hop: NextHop) -> bool:
        return (hop.gateway, hop.interface) == (self.gateway, self.interface)


def steps(state: LabState, *roles: str) -> Iterator[Step]:
    """The steps of hosts with these roles that could be read."""
    for host in state.by_role(*roles):
        for target in _targets(state, host):
            hop = planned_next_hop(host, target)
            if hop.interface:
                yield Step(host, target, hop.gateway, hop.interface)


def _targets(state: LabState, host: HostState) -> Iterator[str]:
    clients = [plug.address for plug in state.clients]
    segments = {plug.switch for plug in host.plugs}
    in_front = state.director_host.main.switch in segments
    own = [server.main.address for server in state.by_role(SERVER) if server.main.switch in segments]
    if host.role == CLIENT:
        yield state.vip
    elif host.role == SERVER:
        yield from clients
    elif host.role == DIRECTOR:
        yield from (server.address for server in state.servers)
        yield from clients if state.method == "nat" else ()
    elif in_front:
        yield state.vip
        yield from (server.address for server in state.servers) if state.method == "tun" else clients
    else:
        yield from (*own, *clients)


def planned_next_hop(host: HostState, target: str) -> NextHop:
    """The next hop by the host's plugs and planned routes."""
    for plug in host.plugs:
        if plug.reaches(target):
            return NextHop(target, "", plug.interface)
    routes = [*host.planned.routes, Route(_DEFAULT, host.planned.gateway, "")]
    found = longest(routes, target)
    gateway = found.gateway if found else ""
    plugs = (plug.interface for plug in host.plugs if gateway and plug.reaches(gateway))
    return NextHop(target, gateway, next(plugs, ""))


def next_hop(host: HostState, target: str) -> NextHop:
    """The kernel's answer, or else the next hop by the routing table.

    In IPv6 the kernel answers with a less specific route as long as nobody answers at the gateway of the most
    specific one; it tries that again every few seconds, and what it sends there meanwhile is lost.
    """
    asked = next(
        (hop for hop in host.next_hops if (hop.target, hop.source, hop.inbound) == (target, "", "")), None
    )
    if asked and (host.version != _IPV6 or asked.local or host.rules):
        return asked
    found = longest(host.routes, target)
    if asked and not (found and _is_abandoned(found, asked)):
        return asked
    return NextHop(target, found.gateway, found.interface) if found else NextHop(target)


def next_hops(host: HostState, target: str) -> list[NextHop]:
    """All next hops to which it may send: several, if the route has several paths."""
    found = longest(host.routes, target)
    if not found or not found.paths or host.rules:
        return [next_hop(host, target)]
    words = (path.split() for path in found.paths)  # via GATEWAY dev INTERFACE
    return [NextHop(target, gateway, interface) for _, gateway, _, interface in words]


def _is_abandoned(route: Route, asked: NextHop) -> bool:
    """Whether the kernel does not use this route, the most specific one, just now."""
    return route.destination != _DEFAULT and route.gateway not in ("", asked.gateway)


def longest(routes: Iterable[Route], target: str) -> Route | None:
    """The route with the longest matching prefix, and among these the one with the lowest metric."""
    address = ip_address(target)
    matching = [route for route in routes if address in _network(route.destination, address.version)]

    def preference(route: Route) -> tuple[int, int]:
        return _network(route.destination, address.version).prefixlen, -route.metric

    return max(matching, key=preference, default=None)


def _network(destination: str, version: int) -> IPv4Network | IPv6Network:
    default = "::/0" if version == _IPV6 else "0.0.0.0/0"
    return ip_network(default if destination == _DEFAULT else destination, strict=False)


def repairs(step: Step) -> Iterator[str]:
    """The commands that restore the step's planned next hop.

    A route that should not exist is deleted, then a missing one is restored. If the routing table is right, a
    policy rule (ip-rule(8)), a route of the local table or one learnt by ICMP overrides it.
    """
    host, target = step.host, step.target
    if step.takes:
        yield f"ip route del local {target} table local"
        return
    left, wrong = list(host.routes), []
    while (used := longest(left, target)) and not _is_planned(host, used):
        left.remove(used)
        wrong.append(used)
    # `replace` replaces a default route, but only one of the same metric.
    in_the_way = [
        route for route in wrong if route.destination != _DEFAULT or route.kind or route.rank or route.paths
    ]
    yield from (f"ip route del {route}" for route in in_the_way)
    is_there = used is not None and (used.gateway, used.interface) == (step.gateway, step.interface)
    if is_there and in_the_way == wrong:
        # Without a wrong route or rule, ICMP redirects have taught another next hop.
        learnt = [] if wrong else [f"{_ip(host)} route flush cache"]
        yield from list(policy_repairs(host)) or learnt
        return
    if step.gateway:
        planned = longest(host.planned.routes, target)
        destination = planned.destination if planned else _DEFAULT
        yield f"ip route replace {destination} via {step.gateway} dev {step.interface}"
    else:
        plug = next(plug for plug in host.plugs if plug.interface == step.interface)
        yield f"ip route replace {_connected(plug)} dev {step.interface}"


def policy_repairs(host: HostState) -> Iterator[str]:
    """The commands that restore the kernel's own policy rules, and delete all others (ip-rule(8))."""
    command = _ip(host)
    yield from (f"{command} rule add priority {rule.priority} {rule.text}" for rule in host.missing_rules)
    yield from (deletion(host, rule) for rule in host.rules)


def deletion(host: HostState, rule: PolicyRule) -> str:
    """The command that deletes a policy rule."""
    return f"{_ip(host)} rule del priority {rule.priority}"


def _ip(host: HostState) -> str:
    """The program where no address in its arguments tells it the IP version."""
    return "ip -6" if host.version == _IPV6 else "ip"


def _is_planned(host: HostState, route: Route) -> bool:
    """Whether it is a planned route of the host, or the connected network of one of its plugs."""
    if route.kind:
        return False
    if route.destination == _DEFAULT:
        return route.gateway == host.planned.gateway
    planned = {(other.destination, other.gateway) for other in host.planned.routes}
    connected = {(_connected(plug), "") for plug in host.plugs}
    return (route.destination, route.gateway) in planned | connected


def _connected(plug: Plug) -> str:
    return str(ip_interface(f"{plug.address}/{plug.prefix}").network)


def policy_text(host: HostState) -> str:
    """`; ip rule has 100: from 203.0.113.1 lookup 77`, and what it lacks; "" for the kernel's own rules."""
    has = f"; ip rule has {', '.join(map(str, host.rules))}" if host.rules else ""
    lacks = f"; ip rule lacks {', '.join(map(str, host.missing_rules))}" if host.missing_rules else ""
    return has + lacks


def without_metrics(host: HostState, target: str) -> Iterator[str]:
    """The command that restores the route to `target` without metrics of its own, such as hoplimit."""
    used = longest(host.routes, target)
    if used:
        yield f"ip route replace {used}"


def default_route(host: HostState) -> Iterator[str]:
    """The commands that restore the host's default route."""
    if host.planned.gateway:
        yield f"ip route replace default via {host.planned.gateway}"


def planned_routes(host: HostState) -> Iterator[str]:
    """The commands that restore all its routes through gateways."""
    yield from default_route(host)
    yield from (f"ip route replace {route.destination} via {route.gateway}" for route in host.planned.routes)


def holder(state: LabState, address: str) -> tuple[HostState, Plug] | None:
    """The host that has the address by the plan, and its plug; the VIP is the director's."""
    if address == state.vip:
        return state.director_host, state.director_host.main
    found = ((host, plug) for host in state.hosts for plug in host.plugs if plug.address == address)
    return next(found, None)
