"""A traffic-control filter drops packets of the service."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import ends_at
from doctor.state import CLIENT, DIRECTOR, ROUTER, SERVER, HostState, LabState

TITLE = "a traffic-control filter drops packets"

_OWN = "ebpf"  # the engine that is itself a traffic-control filter


def find(state: LabState) -> Iterator[Cause]:
    for host in state.by_role(CLIENT, ROUTER, DIRECTOR, SERVER):
        if host.role == DIRECTOR and state.director.engine == _OWN:
            continue
        if ends_at(state, host):
            yield from _causes(host)


def _causes(host: HostState) -> Iterator[Cause]:
    for hook in host.traffic_filters[:1]:
        repair = [f"tc filter del dev {hook.interface} {hook.hook}" for hook in host.traffic_filters]
        yield Cause(
            "tc_filter",
            host.name,
            f"at {hook.hook} of {hook.interface}: {hook.text}; packets of failed trials were last seen on "
            f"{host.name}",
            "Filters of traffic control decide before nftables does about what comes in, and after it about "
            "what goes out. nft does not list them; a capture shows a packet that such a filter drops at "
            "ingress.",
            "\n".join(repair),
        )
