"""A real server on the director's segment has the VIP, and its kernel answers ARP requests for it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import SILENT, is_silenced
from doctor.state import HostState, LabState

TITLE = "a real server answers ARP, or neighbour solicitations, for the VIP"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.servers_on_director_segment():
        lan = host.main.interface
        if is_silenced(host, state.vip):
            continue
        if state.version == 6:
            yield _in_ipv6(state, host)
        elif host.setting("arp_ignore", lan) in SILENT:
            yield _on_the_lan(host, state.vip)
        elif not _was_meant(host):
            yield _answers(host, state.vip)


def _in_ipv6(state: LabState, host: HostState) -> Cause:
    """Neighbour discovery is answered for addresses of the interface only, so no sysctl is needed for lo."""
    lan, vip = host.main.interface, state.vip
    held = [address for address in host.addresses if address.address == vip and address.works]
    here = next(address for address in held if address.interface == lan)
    repair = [f"ip address del {vip}/{here.prefix} dev {lan}"]
    repair += [f"ip address add {vip}/{state.whole} dev lo"] if len(held) == 1 else []
    return Cause(
        "arp_answered",
        host.name,
        f"it has {here}, the interface on which neighbour solicitations arrive",
        "In IPv6 a host answers a neighbour solicitation only for addresses of the interface on which it "
        f"arrives: on lo the VIP is silent. On {lan} it is not: if the router takes the advertisement of "
        f"{host.name} for {vip}, requests bypass the director.",
        "\n".join(repair),
    )


def _was_meant(host: HostState) -> bool:
    """Whether it was set for the wrong interface, which is a separate cause."""
    return any(host.settings.get(f"conf.{name}.arp_ignore", 0) for name in ("lo", "default"))


def _answers(host: HostState, vip: str) -> Cause:
    lan = host.main.interface
    return Cause(
        "arp_answered",
        host.name,
        f"{host.setting_text('arp_ignore', 'all', lan)}: the larger counts; it has {host.has(vip)}",
        f"A host answers ARP for all of its addresses, on every interface. If the router takes the reply of "
        f"{host.name} for {vip}, requests bypass the director.",
        f"sysctl -w net.ipv4.conf.{lan}.arp_ignore=1",
    )


def _on_the_lan(host: HostState, vip: str) -> Cause:
    lan = host.main.interface
    held = [address for address in host.addresses if address.address == vip and address.up]
    here = next((address for address in held if address.interface == lan), held[0])
    repair = [f"ip address del {vip}/{here.prefix} dev {lan}"]
    repair += [f"ip address add {vip}/32 dev lo"] if len(held) == 1 else []
    return Cause(
        "arp_answered",
        host.name,
        f"it has {here}, the interface on which the requests arrive; "
        f"{host.setting_text('arp_ignore', 'all', lan)}",
        "arp_ignore=1 only suppresses replies for addresses of other interfaces. If the router takes the "
        f"reply of {host.name} for {vip}, requests bypass the director.",
        "\n".join(repair),
    )
