"""A host has another MAC address than before, and its neighbours still send to the former one."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import restore_mac
from doctor.routing import holder
from doctor.sightings import last_seen
from doctor.state import CLIENT, DIRECTOR, OUT, ROUTER, SERVER, HostState, LabState, Neighbour, Plug

TITLE = "a host has another MAC address, and others send to its former one"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER) if state.troubled else ():
        for plug in host.plugs:
            mac, others = host.mac(plug.interface), _others(state, host, plug)
            if not plug.mac or mac == plug.mac or any(mac in other.macs(there) for other, there in others):
                continue  # with another host's: duplicate_mac
            entries = {
                other.name: entry
                for other, there in others
                for entry in other.neighbours
                if entry.interface == there and _is_former(state, host, plug, entry)
            }
            senders = tuple(dict.fromkeys((*entries, *_senders(state, others))))
            if senders:
                yield _cause(host, plug, entries, senders)


def _others(state: LabState, host: HostState, plug: Plug) -> list[tuple[HostState, str]]:
    """The other hosts of the segment, with their interfaces there."""
    there = state.on_switch(plug.switch)
    return [(other, own.interface) for other, own in there if other.name != host.name]


def _is_former(state: LabState, host: HostState, plug: Plug, entry: Neighbour) -> bool:
    """Whether a neighbour entry for this interface has a MAC address that the host had before."""
    if entry.is_static or not entry.mac or entry.mac in host.macs(plug.interface):
        return False  # static: wrong_neighbour
    held = holder(state, entry.address)
    return held is not None and (held[0].name, held[1]) == (host.name, plug)


def _senders(state: LabState, others: list[tuple[HostState, str]]) -> Iterator[str]:
    """The hosts whose packets were last seen leaving for this segment: an engine has a table of its own."""
    for last in filter(None, map(last_seen, state.troubled)):
        if last.way == OUT and any((last.host, last.interface) == (other.name, on) for other, on in others):
            yield last.host


def _cause(host: HostState, plug: Plug, entries: dict[str, Neighbour], senders: tuple[str, ...]) -> Cause:
    known = "; ".join(f"{name} knows {entry}" for name, entry in entries.items())
    return Cause(
        "mac_changed",
        host.name,
        f"{plug.interface} has the MAC address {host.mac(plug.interface)}; {plug.mac} was its own"
        + (f"; {known}" if known else f"; packets that {' and '.join(senders)} sent to it did not arrive"),
        f"Neighbours keep what they have learnt of {host.name}, and send to its former MAC address until "
        "their entries expire, which takes some seconds once packets are lost. A host that announces the "
        "change is known at once.",
        "\n".join(restore_mac(host, plug)),
        senders,
    )
