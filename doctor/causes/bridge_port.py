"""An interface has become a port of a bridge or bond, so the host's own addresses on it get nothing."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, LabState

TITLE = "an interface is a port of a bridge"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            link = host.link(plug.interface)
            if link and link.master and state.troubled:
                yield Cause(
                    "bridge_port",
                    host.name,
                    f"`ip link` shows {plug.interface} with master {link.master}",
                    f"The bridge takes all frames that arrive on {plug.interface}. An address of the host "
                    f"would have to be on {link.master}; on the port it neither gets packets nor answers "
                    "ARP.",
                    f"ip link set {plug.interface} nomaster",
                )
