"""A real server beside the director asks for its neighbours' addresses in the VIP's name."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import LabState

TITLE = "a real server names the VIP in ARP questions of its own"

_OWN_ADDRESSES_ONLY = 2


def find(state: LabState) -> Iterator[Cause]:
    for host in state.beside_the_vip():
        lan = host.main.interface
        if host.setting("arp_announce", lan) < _OWN_ADDRESSES_ONLY:
            yield Cause(
                "arp_announced",
                host.name,
                f"{host.told('arp_announce', 'all', lan)}: the larger counts; it has {host.has(state.vip)}",
                f"Replies come from {state.vip}, so {host.name} names it as the sender when it asks for "
                f"the router's MAC address. The router notes {host.name} as the owner of {state.vip}, and "
                "requests go past the director from then on. Only with 2 it asks in the name of an "
                f"address of the interface (1 is not enough: {state.vip} is in the same network).",
                f"sysctl -w net.ipv4.conf.{lan}.arp_announce=2",
            )
