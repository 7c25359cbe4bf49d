"""VS-NAT: replies to a client on the real servers' own network bypass the director."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import SERVER, HostState, LabState, NextHop, Plug

TITLE = "replies bypass the director"


def find(state: LabState) -> Iterator[Cause]:
    if state.method != "nat":
        return
    for host in state.by_role(SERVER):
        inside = _director_on(state, host.main.switch)
        for client in state.clients:
            next_hop = host.next_hop(client.address)
            if (
                inside
                and client.switch == host.main.switch
                and next_hop.gateway != inside
                and next_hop.interface
            ):
                yield _cause(state, host, client, next_hop, inside)
                break


def _director_on(state: LabState, switch: str) -> str:
    plugs = state.director_host.plugs
    return next((plug.address for plug in plugs if plug.switch == switch), "")


def _cause(state: LabState, host: HostState, client: Plug, next_hop: NextHop, inside: str) -> Cause:
    return Cause(
        "direct_route",
        host.name,
        f"client {next_hop}; the director is {inside}",
        f"{host.name} answers {client.address} directly, from {host.main.address}. The client contacted "
        f"{state.vip}, has no connection with {host.main.address}, and resets it: only the director, which "
        "these replies bypass, can restore the source the client expects.",
        f"ip route replace {client.address}/{state.whole} via {inside} dev {host.main.interface}",
    )
