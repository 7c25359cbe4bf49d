"""A host does not accept packets to its own address: it has no local route, or a rule overrides that."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import resolution_requests
from doctor.routing import policy_repairs, policy_text
from doctor.state import CLIENT, DIRECTOR, SERVER, HostState, LabState, NextHop

TITLE = "a host does not accept packets to its own address"

_IPV6 = 6


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, DIRECTOR, SERVER):
        hop = next(_not_local(state, host), None)
        if hop:
            yield _cause(host, hop)


def _not_local(state: LabState, host: HostState) -> Iterator[NextHop]:
    """The kernel's answers for packets that it should deliver to the host itself.

    With policy rules also for packets that come from clients, which a rule may match.
    """
    ends = set(_ends(state, host))
    inbound = {client.address for client in state.clients} if host.rules and host.role == SERVER else set()
    for hop in host.next_hops:
        is_asked = not (hop.source or hop.inbound) or (hop.source in inbound and bool(hop.inbound))
        if hop.target in ends and is_asked and not hop.local and host.has(hop.target):
            yield hop


def _ends(state: LabState, host: HostState) -> Iterator[str]:
    """The addresses at which the host's kernel takes packets of the virtual server."""
    if host.role != DIRECTOR:
        yield host.main.address
    if (host.role == SERVER and state.method != "nat") or (
        host.role == DIRECTOR and state.director.is_kernel_ipvs
    ):
        yield state.vip


def _cause(host: HostState, hop: NextHop) -> Cause:
    requests = resolution_requests(hop.target)
    silent = f" and answers no {requests} for that address" if hop.target == host.main.address else ""
    return Cause(
        "local_route",
        host.name,
        f"{host.has(hop.target)}, but the kernel's next hop: {hop}{policy_text(host)}",
        f"Packets to {hop.target} arrive at {host.name}, which does not take them for its own{silent}: an "
        "address counts only if the lookup of its route ends in table local, which the rule of priority 0 "
        "consults first.",
        "\n".join(_repairs(host)),
    )


def _repairs(host: HostState) -> Iterator[str]:
    if host.missing_rules:
        yield from policy_repairs(host)
        return
    is_ipv6 = host.version == _IPV6
    for held in host.addresses:
        if held.works:
            # As the kernel itself writes it in IPv4, so that it goes with the address.
            as_of_kernel = "" if is_ipv6 else f" proto kernel scope host src {held.address}"
            yield f"ip route replace local {held.address} dev {held.interface} table local{as_of_kernel}"
    if is_ipv6:
        for plug in host.plugs:  # neighbour solicitations are multicast
            yield f"ip route replace multicast ff00::/8 dev {plug.interface} table local"
