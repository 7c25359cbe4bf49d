"""An interface of the plan is down, gone, or has no carrier."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import planned_routes
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Plug

TITLE = "a network interface is down"
EXPLAINS = (
    *("address_missing", "arp_off", "director_vip", "duplicate_address", "no_gateway", "no_route"),
    *("rp_filter", "slow_link", "small_mtu", "wrong_netmask"),
    # A missing interface has no settings either.
    *("arp_announced", "arp_answered", "arp_ignore_on_lo", "checksum_offload"),
)

_IPV6 = 6


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs if host.links else ():
            link = host.link(plug.interface)
            if link is None or not link.works:
                yield _cause(state, host, plug)


def _cause(state: LabState, host: HostState, plug: Plug) -> Cause:
    link = host.link(plug.interface)
    repair = [f"ip link set {plug.interface} up", *_addresses(state, host, plug), *planned_routes(host)]
    if link is None:
        evidence, repair = _gone(host, plug)
    elif not link.up:
        evidence = f"{plug.interface} is down: `ip link` shows no UP"
    else:
        evidence = f"{plug.interface} has no carrier: its other end is down or unplugged"
        evidence += f" ({plug.port} of {plug.switch})" if plug.port else ""
        repair[0] = f"# at the lab's prompt, for the switch: sh ip link set {plug.port or 'PORT'} up"
    return Cause(
        "link_down",
        host.name,
        evidence,
        f"No frame enters or leaves {host.name} through {plug.interface}. With the interface the kernel "
        "has also removed the routes through it: the connected network comes back when it is up again, "
        "routes through a gateway do not.",
        "\n".join(repair),
    )


def _addresses(state: LabState, host: HostState, plug: Plug) -> Iterator[str]:
    """The commands that restore what the interface has lost: in IPv6, the kernel removes its addresses."""
    lost = [(plug.address, plug.prefix)]
    lost += [(state.vip, state.whole)] if host.planned.vip_on == plug.interface else []
    for address, prefix in lost if state.version == _IPV6 else ():
        if not any(held.address == address for held in host.addresses):
            yield f"ip address add {address}/{prefix} dev {plug.interface} nodad"


def _gone(host: HostState, plug: Plug) -> tuple[str, list[str]]:
    """Evidence and repair: a renamed interface still has its MAC address, a deleted one is lost."""
    renamed = next((link.interface for link in host.links if link.mac and link.mac == plug.mac), "")
    if renamed:
        return f"there is no interface {plug.interface}; {renamed} has its MAC address, {plug.mac}", [
            f"ip link set {renamed} down",
            f"ip link set {renamed} name {plug.interface}",
            f"ip link set {plug.interface} up",
            *planned_routes(host),
        ]
    return f"there is no interface {plug.interface}", [
        "# a deleted interface cannot be restored: leave the lab (exit), and start it again"
    ]
