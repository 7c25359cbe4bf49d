"""An interface neither asks nor answers ARP, or asks nobody."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import ends_at
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Link

TITLE = "ARP is switched off on an interface"
EXPLAINS = ("director_vip",)

_EVERYBODY = "ff:ff:ff:ff:ff:ff"
_DEFAULT = 3  # net.ipv4.neigh.*.mcast_solicit


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
            elif link and link.works and ends_at(state, host):
                yield from _asks_nobody(state, host, link)


def _asks_nobody(state: LabState, host: HostState, link: Link) -> Iterator[Cause]:
    """Of neighbours that have asked it, a host knows the MAC address all the same: it may harm nobody."""
    name = link.interface
    solicit = f"neigh.{name}.mcast_solicit"
    if host.settings.get(solicit) == 0:
        evidence, repair = f"{solicit} is 0", f"sysctl -w net.ipv{state.version}.{solicit}={_DEFAULT}"
    elif link.broadcast not in ("", _EVERYBODY):
        evidence = f"the broadcast address of {name} is {link.broadcast}"
        repair = f"ip link set {name} broadcast {_EVERYBODY}"
    else:
        return
    yield Cause(
        "arp_off",
        host.name,
        evidence,
        f"Nobody gets an ARP request of {host.name} on {name}: what it has to send to a neighbour whose MAC "
        "address it does not know waits until it is dropped. It answers requests, and learns who asks.",
        repair,
    )
