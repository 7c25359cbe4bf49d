"""An interface neither asks nor answers ARP."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, LabState

TITLE = "ARP is switched off on an interface"
EXPLAINS = ("director_vip",)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            link = host.link(plug.interface)
            if link and link.works and not link.arp:
                yield Cause(
                    "arp_off",
                    host.name,
                    f"`ip link` shows NOARP for {plug.interface}",
                    f"{host.name} answers no ARP request on {plug.interface} and sends none: its "
                    "neighbours do not find its MAC address, and it does not find theirs.",
                    f"ip link set {plug.interface} arp on",
                )
