"""The director has no virtual service for http on the VIP, or one without real servers."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import HTTP, listed, services_of
from doctor.state import LabState, PlannedServer

TITLE = "the director has no service for this address and port"


def find(state: LabState) -> Iterator[Cause]:
    if state.director.error:
        return
    services = services_of(state, HTTP)
    if any(service.targets for service in services):
        return
    wanted = f"TCP {state.vip}:{HTTP}"
    seen = f"the service {wanted} has no real server" if services else f"there is no service {wanted}"
    yield Cause(
        "no_service",
        state.director_host.name,
        f"{seen}; the director's services are {listed(state.director.services)}",
        f"Packets that match no rule are left to the director's own kernel. It has {state.vip}, but nothing "
        "listens there, so it refuses the connection at once; another port or protocol is another service.",
        "\n".join(_rule(state, server) for server in state.servers),
    )


def _rule(state: LabState, server: PlannedServer) -> str:
    weight = f" -w {server.weight}" if server.weight != 1 else ""
    return f"ippfvsadm -A -t {state.vip}:{HTTP} -R {server.address}:{server.ports[0]}{weight}"
