"""VS-NAT: the director's kernel also forwards, unchanged, the packets that the director rewrites."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.nftables import dropped
from doctor.state import HostState, LabState

TITLE = "the director's kernel forwards packets as well"
VERSIONS = (4,)  # of IP


def find(state: LabState) -> Iterator[Cause]:
    host = state.director_host
    if state.method != "nat" or state.director.is_kernel_ipvs or host.error:
        return
    inside = [plug.interface for plug in host.plugs if _faces_servers(state, plug.switch)]
    on = [name for name in inside if host.settings.get(f"conf.{name}.forwarding", 0)]
    if on and not _is_stopped(state, host):
        yield Cause(
            "ip_forward",
            host.name,
            f"ip_forward is {host.settings.get('ip_forward', 0)}, and forwarding is 1 for {', '.join(on)}",
            "The director's process takes a copy of each reply, rewrites its source to the VIP and sends it; "
            "the kernel forwards the original as well, from the real server's own address. The client has no "
            "such connection and resets it, often before the right reply is used.",
            "sysctl -w net.ipv4.ip_forward=0",
        )


def _faces_servers(state: LabState, switch: str) -> bool:
    return any(host.main.switch == switch for host in state.hosts if host.role == "real server")


def _is_stopped(state: LabState, host: HostState) -> bool:
    """Whether a packet filter keeps the kernel from forwarding replies."""
    return all(
        dropped(
            host.filters,
            {
                "l4proto": ("tcp", 6),
                "ip protocol": ("tcp", 6),
                "ip saddr": server.address,
                "ip daddr": client.address,
                "tcp sport": server.ports[0],
            },
            *("prerouting", "forward", "postrouting"),
        )
        for server in state.servers
        for client in state.clients
    )
