"""VS-TUN, VS-DR: a real server does not have the VIP, so it does not accept requests."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import enable_ipv6, start_tunnel, tunnel
from doctor.state import SERVER, HostState, LabState

TITLE = "a real server does not have the VIP"


def find(state: LabState) -> Iterator[Cause]:
    if state.method == "nat":
        return
    device = tunnel(state) if state.method == "tun" else "lo"
    for host in state.by_role(SERVER):
        if not host.has(state.vip) and not host.takes(state.vip):
            yield Cause(
                "vip_missing",
                host.name,
                f"{_evidence(host, state.vip)}{host.counter_text('IpInAddrErrors')}",
                f"VS-{state.method.upper()} does not change the destination of a request: {state.vip}. A "
                "host silently drops packets for addresses it does not have: every connection scheduled to "
                f"{host.name} times out.",
                _repair(state, host, device),
            )


def _evidence(host: HostState, vip: str) -> str:
    """The VIP's interface, if that is down; otherwise the host's addresses."""
    down = next((address for address in host.addresses if address.address == vip), None)
    if down:
        return f"it has {down}"
    addresses = ", ".join(
        str(address) for address in host.addresses if not address.address.startswith("127.")
    )
    return f"its addresses are {addresses or 'none'}; {vip} is not among them"


def _repair(state: LabState, host: HostState, device: str) -> str:
    down = next((address for address in host.addresses if address.address == state.vip), None)
    if down:
        return f"ip link set {down.interface} up"
    repair = [
        *enable_ipv6(host),
        f"ip address add {state.vip}/{state.whole} dev {device}",
        f"ip link set {device} up",
    ]
    if host.links and not host.link(device):  # its program has ended, and its settings are lost
        repair = [*start_tunnel(device), *repair]
    return "\n".join(repair)
