"""No real server of a service accepts new connections: weight 0, or over the upper threshold."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import flag, option
from doctor.state import LabState, Service, Target

TITLE = "all real servers of a service are quiesced or over their thresholds"


def find(state: LabState) -> Iterator[Cause]:
    for service in state.director.services:
        if service.targets and not any(target.weight > 0 and not target.full for target in service.targets):
            yield _cause(state, service)


def _cause(state: LabState, service: Service) -> Cause:
    evidence = ", ".join(f"{target} {_why_not(target)}" for target in service.targets)
    return Cause(
        "quiesced",
        state.director_host.name,
        f"the service {service}: {evidence}",
        "A server of weight 0, or at its upper threshold, keeps its connections and gets no new ones. "
        "With all servers in this state no server is left to schedule: new connections are refused with "
        "an ICMP error.",
        "\n".join(_repairs(state, service)),
    )


def _why_not(target: Target) -> str:
    if not target.weight:
        return "has weight 0"
    return f"has {target.active + target.inactive} connections, and the upper threshold {target.upper}"


def _repairs(state: LabState, service: Service) -> Iterator[str]:
    weights = {server.address: server.weight for server in state.servers}
    for target in service.targets:
        weight = target.weight or weights.get(target.address, 1)
        yield f"ipvsadm -e {option(service)} -r {target} {flag(state)} -w {weight} -x 0 -y 0"
