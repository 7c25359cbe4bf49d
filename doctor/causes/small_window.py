"""A route limits the receive window of its connections to less than one segment."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import without_metrics
from doctor.state import CLIENT, SERVER, HostState, LabState, NextHop

TITLE = "a route's small receive window slows connections down"

_SEGMENT = 536  # bytes: the segment that every host takes (RFC 9293, 3.7.1)


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, SERVER):
        hop = next((hop for hop in host.next_hops if _limits(state, host, hop)), None)
        if hop:
            yield Cause(
                "small_window",
                host.name,
                f"the route to {hop} has window {hop.window}",
                f"{host.name} offers a receive window of {hop.window} bytes: its peers send no more at a "
                "time, and then wait for an acknowledgement. The handshake and a few bytes pass, more takes "
                "long or too long. No packet is lost.",
                "\n".join(without_metrics(host, hop.target)),
            )


def _limits(state: LabState, host: HostState, hop: NextHop) -> bool:
    """Whether it is the route to the other end of connections, with a window below one segment."""
    ends = {state.vip} if host.role == CLIENT else {plug.address for plug in state.clients}
    return hop.target in ends and 0 < hop.window < _SEGMENT
