"""A rule has another forwarding method than the lab."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import METHODS, flag, option
from doctor.state import LabState, Service, Target

TITLE = "a rule has the wrong forwarding method"

_OWN = ("", "Local")  # unknown, or served by the director itself
_EFFECTS = {
    "Masq": "The director rewrites the destination, but the reply of the real server bypasses it: the client "
    "gets a SYN+ACK from an address that it has not contacted, and resets it.",
    "Tunnel": "The director puts requests into packets that the real server does not unpack.",
    "Route": "The director leaves the destination as it is, and the real server does not have that address.",
}


def find(state: LabState) -> Iterator[Cause]:
    right = METHODS[state.method]
    for service in state.director.services:
        for target in service.targets:
            if target.weight and target.method not in (*_OWN, right) and _is_a_server(state, target):
                yield _cause(state, service, target, right)


def _is_a_server(state: LabState, target: Target) -> bool:
    """Whether it is a real server of the plan; a rule for another host is a different cause."""
    return target.address in {server.address for server in state.servers}


def _cause(state: LabState, service: Service, target: Target, right: str) -> Cause:
    return Cause(
        "wrong_method",
        state.director_host.name,
        f"the service {service} has the real server {target} with the forwarding method {target.method}; "
        f"that of this lab is {right}",
        f"A rule has its own forwarding method. {_EFFECTS.get(target.method, '')}",
        f"ipvsadm -e {option(service)} -r {target} {flag(state)} -w {target.weight}",
    )
