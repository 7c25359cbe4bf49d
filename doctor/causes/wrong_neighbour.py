"""A permanent neighbour entry has a MAC address that is not the neighbour's."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import holder
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Neighbour, Plug

TITLE = "a static neighbour entry has a wrong MAC address"

_OWN_TABLE = "scapy"  # the engine that sends its own ARP requests, and takes over permanent entries only


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        has_own = host.role == DIRECTOR and state.director.engine == _OWN_TABLE
        for entry in host.neighbours:
            held = _holder(state, host, entry)
            is_used = entry.is_permanent if has_own else entry.is_static
            if held and is_used and entry.mac not in held[0].macs(held[1].interface):
                yield _cause(state, host, entry, *held)


def _holder(state: LabState, host: HostState, entry: Neighbour) -> tuple[HostState, Plug] | None:
    """The address's owner, if that is on the same segment and its MAC address is known."""
    held = holder(state, entry.address)
    segments = {plug.switch for plug in host.plugs if plug.interface == entry.interface}
    if not held or held[0].name == host.name or held[1].switch not in segments:
        return None
    return held if held[0].mac(held[1].interface) else None


def _cause(state: LabState, host: HostState, entry: Neighbour, owner: HostState, there: Plug) -> Cause:
    switch = next(plug.switch for plug in host.plugs if plug.interface == entry.interface)
    other = state.owner_of_mac(switch, entry.mac)
    whose = f"the MAC address of {other[0].name}" if other else "a MAC address that no host there has"
    return Cause(
        "wrong_neighbour",
        host.name,
        f"its neighbour table has: {entry}: {whose}; {owner.name} has {owner.mac(there.interface)}",
        f"A permanent entry is never verified by ARP. {host.name} sends every packet to {entry.address} to "
        "that MAC address.",
        f"ip neigh del {entry.address} dev {entry.interface}",
    )
