"""A host has an address that belongs to another one."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import holder
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, Address, HostState, LabState

TITLE = "two hosts have the same address"
EXPLAINS = ("direct_route", "local_route", "no_gateway", "no_route", "rp_filter")


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for address in host.addresses:
            held = holder(state, address.address) if address.up else None
            if held and held[0].name != host.name and _hurts(state, host, address.address):
                yield _cause(host, address, held[0])


def _hurts(state: LabState, host: HostState, address: str) -> bool:
    """Real servers must have the VIP; any other address matters where it is used on the same path."""
    if address == state.vip and host.role == SERVER:
        return False
    if state.pair and host.role == DIRECTOR and address in (state.vip, *state.moving):
        return False  # two_masters, and what explains it
    held = holder(state, address)
    segments = {plug.switch for plug in host.plugs}
    on_the_way = host.role in (ROUTER, DIRECTOR)
    is_peer = address in (state.vip, state.dip) or address in {client.address for client in state.clients}
    return on_the_way or is_peer or (held is not None and held[1].switch in segments)


def _cause(host: HostState, address: Address, other: HostState) -> Cause:
    return Cause(
        "duplicate_address",
        host.name,
        f"it has {address}, the address of {other.name}",
        f"Two hosts have {address.address}. {host.name} keeps packets to it for itself, and where both "
        f"answer ARP, the faster one gets the packets of their neighbours: sometimes {other.name}, "
        f"sometimes {host.name}.",
        f"ip address del {address.address}/{address.prefix} dev {address.interface}",
    )
