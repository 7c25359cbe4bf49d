"""A client sends requests from a source address to which nobody can reply."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import planned_routes
from doctor.state import CLIENT, HostState, LabState

TITLE = "a client sends from an address to which nobody can reply"


def find(state: LabState) -> Iterator[Cause]:
    failing = {trial.host for trial in state.client_trials if not trial.served}
    for host in state.by_role(CLIENT):
        preferred = host.next_hop(state.vip).preferred
        if preferred and host.name in failing and not host.main.reaches(preferred) and preferred != state.vip:
            yield _cause(state, host, preferred)


def _cause(state: LabState, host: HostState, preferred: str) -> Cause:
    held = [address for address in host.addresses if address.address == preferred]
    return Cause(
        "wrong_source",
        host.name,
        f"to {state.vip} it sends from {preferred}{f' ({held[0]})' if held else ''}, "
        f"not from {host.main.address}",
        "A route's `src`, or else the kernel (RFC 6724 in IPv6), decides from which of its addresses a host "
        f"sends. The request arrives; the reply to {preferred} does not, because no router knows "
        "that network.",
        "\n".join(
            [
                *(f"ip address del {entry.address}/{entry.prefix} dev {entry.interface}" for entry in held),
                *planned_routes(host),
            ]
        ),
    )
