"""An interface neither sends nor answers ARP requests, or sends them to no neighbour."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import ends_at
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Link

TITLE = "ARP is switched off on an interface"
EXPLAINS = ("director_vip", "wrong_neighbour")

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
    """A cause only if a trial ends here: the host learns the MAC addresses of neighbours that ask it."""
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
        f"No neighbour gets an ARP request of {host.name} on {name}: packets to a neighbour whose MAC "
        "address it does not know wait until they are dropped. It answers requests, and learns the addresses "
        "of their senders.",
        repair,
    )
