"""A router on the path does not forward packets."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import ROUTER, HostState, LabState

TITLE = "a router does not forward packets"

_IPV4 = 4
_WHERE = {4: " for the interface on which they arrive", 6: ""}


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(ROUTER):
        known = [
            plug.interface for plug in host.plugs if f"conf.{plug.interface}.forwarding" in host.settings
        ]
        off = [name for name in known if not _forwards(state, host, name)]
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
            f"A host drops packets for other hosts unless forwarding is on{_WHERE[state.version]}. "
            f"{host.name} is the router between the clients and the other hosts: nothing that arrives on "
            f"{' or '.join(off)} passes it.",
            "\n".join(commands if general else [f"sysctl -w {tree}.{switch}=1"]),
        )


def _forwards(state: LabState, host: HostState, interface: str) -> bool:
    """Whether packets that arrive on the interface are forwarded; in IPv6, `all` decides."""
    where = interface if state.version == _IPV4 else "all"
    return bool(host.settings.get(f"conf.{where}.forwarding", 0))
