"""A client or a real server leaves TCP's checksums to a network card that does not exist."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, SERVER, LabState

TITLE = "checksums are left to hardware that is not there"

_ERRORS = "TcpInCsumErrors"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, SERVER):
        on = [plug.interface for plug in host.plugs if host.offloads.get(plug.interface)]
        if on:
            yield Cause(
                "checksum_offload",
                host.name,
                f"tx-checksumming is on for {', '.join(on)}{_counted(state)}",
                "The kernel leaves TCP's checksum to the card, and a virtual one leaves it undone. A switch "
                "that is a program sees packets as bytes and sends them on like that: whoever gets them "
                "drops them for a wrong checksum. ICMP has none of this, so ping works.",
                "\n".join(f"ethtool -K {interface} tx off" for interface in on),
            )


def _counted(state: LabState) -> str:
    """Who has seen wrong checksums."""
    counts = [(host.name, host.counters.get(_ERRORS, 0)) for host in state.by_role(CLIENT, SERVER)]
    told = ", ".join(f"{count} on {name}" for name, count in counts if count)
    return f"; {_ERRORS} is {told}" if told else ""
