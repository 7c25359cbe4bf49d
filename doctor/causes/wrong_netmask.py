"""A wrong netmask adds hosts to the link, or excludes hosts from it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_interface

from doctor.causes import Cause
from doctor.routing import planned_routes, steps
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, Address, HostState, LabState, Plug

TITLE = "an address has a wrong netmask"
EXPLAINS = ("direct_route", "no_gateway", "no_route", "rp_filter")


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            wrong = next(_wrong(host, plug), None)
            if wrong and not all(step.is_right for step in steps(state, host.role) if step.host is host):
                yield _cause(host, plug, wrong)
    for host in state.by_role(SERVER):
        for address in host.addresses:
            if address.address == state.vip and address.up and _takes_in_others(state, host, address):
                yield _of_the_vip(state, host, address)


def _wrong(host: HostState, plug: Plug) -> Iterator[Address]:
    """Entries of the plug's address with another prefix than planned."""
    for address in host.addresses:
        if (address.interface, address.address) == (
            plug.interface,
            plug.address,
        ) and address.prefix != plug.prefix:
            yield address


def _cause(host: HostState, plug: Plug, wrong: Address) -> Cause:
    network = ip_interface(f"{wrong.address}/{wrong.prefix}").network
    planned = ip_interface(f"{plug.address}/{plug.prefix}").network
    if network.prefixlen < planned.prefixlen:
        effect = (
            f"{host.name} takes all of {network} for its own link: it asks for the MAC addresses of hosts "
            "that are behind a gateway, and gets no answer."
        )
    else:
        effect = (
            f"For {host.name} its own network is {network} only: it has no direct route to the rest of "
            f"{planned}, and a gateway there is out of reach."
        )
    repair = [f"ip address del {wrong.address}/{wrong.prefix} dev {plug.interface}"]
    if not any(
        (address.address, address.prefix) == (plug.address, plug.prefix) for address in host.addresses
    ):
        repair.insert(0, f"ip address add {plug.address}/{plug.prefix} dev {plug.interface}")
    return Cause(
        "wrong_netmask",
        host.name,
        f"it has {wrong}; its network is {planned}",
        effect,
        "\n".join([*repair, *planned_routes(host)]),
    )


def _takes_in_others(state: LabState, host: HostState, vip: Address) -> bool:
    """Whether the VIP's network contains a client, or other hosts of the server's segment."""
    if vip.prefix == state.whole:
        return False
    network = ip_interface(f"{vip.address}/{vip.prefix}").network
    plug = host.main
    if (vip.interface, network) == (plug.interface, ip_interface(f"{plug.address}/{plug.prefix}").network):
        return False  # the same network as its own address; having it there is arp_answered
    others = [plug for _, plug in state.on_switch(host.main.switch) if plug != host.main]
    return any(ip_address(plug.address) in network for plug in (*others, *state.clients))


def _of_the_vip(state: LabState, host: HostState, vip: Address) -> Cause:
    network = ip_interface(f"{vip.address}/{vip.prefix}").network
    device = vip.interface
    effect = (
        f"On lo, every address of {network} becomes an address of {host.name} itself, so it ignores ARP "
        "requests and packets from there, as if they came from itself."
        if device == "lo"
        else f"{host.name} sends packets to {network} into {device}, not to the hosts that are there."
    )
    repair = [f"ip address del {vip.address}/{vip.prefix} dev {device}"]
    if not any((address.address, address.prefix) == (state.vip, state.whole) for address in host.addresses):
        label = f" label {vip.label}" if vip.label.startswith(f"{device}:") else ""
        repair.append(f"ip address add {vip.address}/{state.whole} dev {device}{label}")
    return Cause(
        "wrong_netmask",
        host.name,
        f"it has {vip}; on a real server the VIP is an address without a network, /{state.whole}",
        effect,
        "\n".join([*repair, *planned_routes(host)]),
    )
