"""A real server on the director's segment sends ARP requests with the VIP as sender."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import LabState

TITLE = "a real server uses the VIP as source address in ARP requests"
VERSIONS = (4,)  # of IP

_OWN_ADDRESSES_ONLY = 2


def find(state: LabState) -> Iterator[Cause]:
    for host in state.servers_on_director_segment():
        lan = host.main.interface
        if host.setting("arp_announce", lan) < _OWN_ADDRESSES_ONLY:
            yield Cause(
                "arp_announced",
                host.name,
                f"{host.setting_text('arp_announce', 'all', lan)}: the larger counts; "
                f"it has {host.has(state.vip)}",
                f"Replies have the source {state.vip}, so {host.name} uses it as the sender address when it "
                f"asks for the router's MAC address. The router then maps {state.vip} to {host.name}, and "
                "requests bypass the director. With 2 the sender is an address of the interface "
                f"(1 is not enough: {state.vip} is in the same network).",
                f"sysctl -w net.ipv4.conf.{lan}.arp_announce=2",
            )
