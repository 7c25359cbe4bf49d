"""A client or a real server leaves TCP's checksums to a virtual network card."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.state import CLIENT, SERVER, LabState

TITLE = "checksum offload is on, but a virtual NIC computes none"

_ERRORS = "TcpInCsumErrors"


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, SERVER):
        on = [plug.interface for plug in host.plugs if host.offloads.get(plug.interface)]
        if on:
            yield Cause(
                "checksum_offload",
                host.name,
                f"tx-checksumming is on for {', '.join(on)}{_counted(state)}",
                "The kernel leaves TCP's checksum to the card, and a virtual card does not compute it. "
                "User-space switches pass such packets on unfinished, and the receiver drops them for a "
                "wrong checksum. ICMP checksums are not offloaded, so ping works.",
                "\n".join(f"ethtool -K {interface} tx off" for interface in on),
            )


def _counted(state: LabState) -> str:
    """The hosts that counted wrong checksums."""
    counts = [(host.name, host.counters.get(_ERRORS, 0)) for host in state.by_role(CLIENT, SERVER)]
    counted = ", ".join(f"{count} on {name}" for name, count in counts if count)
    return f"; {_ERRORS} is {counted}" if counted else ""
