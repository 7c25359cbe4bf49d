"""An XDP program on an interface drops packets before anything else on the host sees them."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, LabState

TITLE = "an XDP program drops packets"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER) if state.troubled else ():
        for link in host.links:
            if link.xdp:
                yield Cause(
                    "xdp_program",
                    host.name,
                    f"`ip link` shows program {link.xdp} (xdp) on {link.interface}, and trials fail",
                    f"It decides about every frame that arrives on {link.interface}, before captures, packet "
                    "filters and counters: on this host a dropped packet is seen nowhere, and its sender's "
                    "capture shows that it left.",
                    "\n".join(f"ip link set dev {link.interface} {mode} off" for mode in _MODES),
                )


_MODES = ("xdp", "xdpgeneric")  # switching off the mode that the program does not use has no effect
