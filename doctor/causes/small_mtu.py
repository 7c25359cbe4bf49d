"""An interface has a smaller MTU than its neighbours, which get no message about it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState, Plug

TITLE = "the MTU of one cable is smaller, and long packets are lost"

_LEAST = 88  # bytes: the smallest segment (TCP_MIN_SND_MSS, which includes its options) and both headers


def find(state: LabState) -> Iterator[Cause]:
    # Each end of a TCP connection announces its largest segment (MSS). The MSS does not allow for a tunnel's
    # header, and no sender goes below a minimum.
    senders = (CLIENT,) if state.method == "tun" else (CLIENT, SERVER)
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        for plug in host.plugs:
            mine, others = _mtu(host, plug), _largest(state, plug)
            enough = min(others, _LEAST) if host.role in senders else others
            if 0 < mine < enough:
                yield _cause(host, plug, mine, others)


def _mtu(host: HostState, plug: Plug) -> int:
    link = host.link(plug.interface)
    return link.mtu if link else 0


def _largest(state: LabState, plug: Plug) -> int:
    """The largest MTU of the other interfaces on its switch."""
    return max(
        (_mtu(host, other) for host, other in state.on_switch(plug.switch) if other != plug), default=0
    )


def _cause(host: HostState, plug: Plug, mine: int, others: int) -> Cause:
    return Cause(
        "small_mtu",
        host.name,
        f"the MTU of {plug.interface} is {mine}; others on the same segment send packets of up to {others} "
        "bytes",
        "A packet that is too long for the receiver's end of a cable is dropped there without a word: no "
        "router compares it with an MTU before, so there is no ICMP message. Handshakes and short pages "
        "work, long transfers hang.",
        f"ip link set {plug.interface} mtu {others}",
    )
