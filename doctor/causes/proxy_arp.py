"""A host answers ARP requests for other hosts' addresses on its own segment."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import next_hop
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Plug

TITLE = "proxy ARP takes packets for other hosts"
VERSIONS = (4,)  # of IP

_ALL = "all"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            taken = list(_taken(state, host, plug))
            if taken:
                yield _cause(host, plug, taken)


def _taken(state: LabState, host: HostState, plug: Plug) -> Iterator[str]:
    """The addresses of others on the segment for which its kernel answers (net/ipv4/arp.c, arp_process).

    The host must forward, and have a route: through another interface with proxy_arp, through the same one
    with proxy_arp_pvlan.
    """
    name = plug.interface
    if not host.settings.get(f"conf.{name}.forwarding", 0):
        return
    for other, owner in state.on_switch(plug.switch):
        addresses = [
            owner.address,
            *([state.vip] if other.planned.answers_arp and owner == other.main else ()),
        ]
        for address in addresses if other.name != host.name else ():
            hop = next_hop(host, address)
            if not hop.interface or hop.local or host.has(address):
                continue
            same = hop.interface == name
            if (
                host.settings.get(f"conf.{name}.proxy_arp_pvlan", 0)
                if same
                else host.setting("proxy_arp", name)
            ):
                yield address


def _cause(host: HostState, plug: Plug, taken: list[str]) -> Cause:
    name = plug.interface
    settings = [
        f"conf.{where}.{what}"
        for where in (_ALL, name)
        for what in ("proxy_arp", "proxy_arp_pvlan")
        if host.settings.get(f"conf.{where}.{what}", 0)
    ]
    return Cause(
        "proxy_arp",
        host.name,
        f"{', '.join(f'{setting} is {host.settings[setting]}' for setting in settings)}; "
        f"forwarding is 1 for {name}; it answers for {', '.join(taken[:4])}",
        "With proxy ARP a host that forwards answers requests for addresses it has a route to. On its own "
        f"segment the owners answer, too: a host that takes the reply of {host.name} sends it packets for "
        "others, which take a detour or get lost.",
        "\n".join(f"sysctl -w net.ipv4.{setting}=0" for setting in settings),
    )
