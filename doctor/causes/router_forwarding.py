"""A router on the way does not forward packets."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import ROUTER, LabState

TITLE = "a router does not forward packets"

_IPV4 = 4


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(ROUTER):
        known = [
            plug.interface for plug in host.plugs if f"conf.{plug.interface}.forwarding" in host.settings
        ]
        off = [name for name in known if not host.settings[f"conf.{name}.forwarding"]]
        if not off:
            continue
        tree = f"net.ipv{state.version}"
        switch = "ip_forward" if state.version == _IPV4 else "conf.all.forwarding"
        general = host.settings.get(switch, 0)
        commands = [f"sysctl -w {tree}.conf.{name}.forwarding=1" for name in off]
        yield Cause(
            "router_forwarding",
            host.name,
            f"{switch} is {general}, and forwarding is 0 for {', '.join(off)}",
            "A host drops packets for other hosts unless forwarding is on for the interface on which they "
            f"arrive. {host.name} is the router between the clients and the other hosts: nothing that "
            f"arrives on {' or '.join(off)} passes it.",
            "\n".join(commands if general else [f"sysctl -w {tree}.{switch}=1"]),
        )
