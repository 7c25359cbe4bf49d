"""Two interfaces on a segment have the same MAC address."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import restore_mac
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Plug

TITLE = "two interfaces on a segment have the same MAC address"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            mine = host.mac(plug.interface)
            other = _other(state, host, plug, mine)
            if other and mine != plug.mac:
                yield _cause(host, plug, mine, other)


def _other(state: LabState, host: HostState, plug: Plug, mac: str) -> Plug | None:
    """The interface of another host on the segment with the same MAC address."""
    for other, there in state.on_switch(plug.switch):
        if mac and other.name != host.name and other.mac(there.interface) == mac:
            return there
    return None


def _cause(host: HostState, plug: Plug, mac: str, other: Plug) -> Cause:
    return Cause(
        "duplicate_mac",
        host.name,
        f"{plug.interface} has the MAC address {mac}, which is that of {other.interface}; "
        f"{plug.mac} was its own",
        f"A switch learns behind which of its ports a MAC address is. With the same one behind two ports, it "
        f"sends the frames for both to where it has last seen it: {plug.interface} and {other.interface} get "
        "each other's packets, and lose their own. (The reply to the ping tells it where the other one is.)",
        "\n".join([*restore_mac(host, plug), f"ping -c 1 -W 1 {other.address} > /dev/null || true"]),
    )
