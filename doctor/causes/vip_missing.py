"""VS-TUN, VS-DR: a real server is not the VIP's host, so what is sent to the VIP is not for it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import SERVER, HostState, LabState

TITLE = "a real server does not have the VIP"

_DEVICES = {"tun": "tunl0", "dr": "lo"}


def find(state: LabState) -> Iterator[Cause]:
    if state.method == "nat":
        return
    device = _DEVICES[state.method]
    for host in state.by_role(SERVER):
        if not host.has(state.vip):
            yield Cause(
                "vip_missing",
                host.name,
                f"{_seen(host, state.vip)}{host.counted('IpInAddrErrors')}",
                f"VS-{state.method.upper()} leaves the destination of a request as it is: {state.vip}. A "
                "host drops what is for an address that it does not have, and tells nobody: every "
                f"connection that is given to {host.name} times out.",
                _repair(host, state.vip, device),
            )


def _seen(host: HostState, vip: str) -> str:
    """Where it is, although it does not work; or what is there instead."""
    down = next((one for one in host.addresses if one.address == vip), None)
    if down:
        return f"it has {down}"
    addresses = ", ".join(str(one) for one in host.addresses if not one.address.startswith("127."))
    return f"its addresses are {addresses or 'none'}; {vip} is not among them"


def _repair(host: HostState, vip: str, device: str) -> str:
    down = next((one for one in host.addresses if one.address == vip), None)
    if down:
        return f"ip link set {down.interface} up"
    return f"ip address add {vip}/32 dev {device}\nip link set {device} up"
