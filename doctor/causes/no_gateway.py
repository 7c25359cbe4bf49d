"""A real server has no route to the clients; in VS-NAT, none through the director."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import denials, link_locals
from doctor.routing import Step, next_hops, policy_text, repairs
from doctor.state import DIRECTOR, ROUTER, SERVER, HostState, LabState, NextHop

TITLE = "a real server has no route, or a wrong one, for its replies"


def find(state: LabState) -> Iterator[Cause]:
    forgetful = {name for denial in denials(state) for name in denial.learners}  # router_flag_lost
    for host in state.by_role(SERVER):
        if host.name in forgetful:
            continue
        right = list(_gateways(state, host))
        for client in state.clients:
            hops = _of_replies(state, host, client.address)
            wrong = next((hop for hop in hops if hop.gateway not in right), None)
            if client.switch != host.main.switch and right and wrong:
                yield _cause(state, host, wrong, right[0])
                break


def _of_replies(state: LabState, host: HostState, client: str) -> list[NextHop]:
    """The next hops to a client; if policy rules exist, the one for the source address of replies."""
    source = host.main.address if state.method == "nat" else state.vip
    known = {(hop.target, hop.source) for hop in host.next_hops}
    if host.rules and (client, source) in known:
        return [host.next_hop(client, source)]
    return next_hops(host, client)


def _gateways(state: LabState, host: HostState) -> Iterator[str]:
    """The next hops on its own segment that are right for replies."""
    if state.pair and host.planned.gateway:  # in VS-NAT, an address of the active director
        yield host.planned.gateway
        return
    role = DIRECTOR if state.method == "nat" else ROUTER
    for other in state.hosts:
        for plug in other.plugs:
            if other.role == role and plug.switch == host.main.switch:
                yield plug.address
                if state.version == 6:
                    yield from link_locals(other, plug)


def _cause(state: LabState, host: HostState, hop: NextHop, right: str) -> Cause:
    default = next((route for route in host.routes if route.destination == "default"), None)
    routes = f"its default route is {default}" if default else "it has no default route"
    return Cause(
        "no_gateway",
        host.name,
        f"client {hop}; {routes}{policy_text(host)}{host.counter_text('IpOutNoRoutes')}",
        _why(state, host, right),
        "\n".join(repairs(Step(host, hop.target, right, host.main.interface))),
    )


def _why(state: LabState, host: HostState, right: str) -> str:
    if state.method == "nat":
        return (
            f"In VS-NAT a reply must pass the director ({right}), which restores {state.vip} as its source. "
            f"A reply of {host.name} that is not sent, or bypasses it, leaves the client waiting."
        )
    return (
        f"In VS-{state.method.upper()} a real server answers the client directly, through its own network's "
        f"router ({right}): {host.name} has no such route."
    )
