"""A client, a router or the director has no route, or a wrong one, to where the packets go next."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.routing import Step, longest, policy_text, repairs, steps
from doctor.state import CLIENT, DIRECTOR, ROUTER, LabState

TITLE = "a client, a router or the director has no route, or a wrong one"
EXPLAINS = ("rp_filter",)


def find(state: LabState) -> Iterator[Cause]:
    seen: set[str] = set()
    for step in steps(state, CLIENT, ROUTER, DIRECTOR):
        has_it = step.actual.local and not step.takes  # duplicate_address
        if not step.is_right and step.host.name not in seen and not has_it:
            seen.add(step.host.name)
            yield _cause(state, step)


def _cause(state: LabState, step: Step) -> Cause:
    host = step.host
    right = f"via {step.gateway}" if step.gateway else f"directly dev {step.interface}"
    used = longest(host.routes, step.target) if not step.takes else f"local {step.target}"
    return Cause(
        "no_route",
        host.name,
        f"{step.actual}; right is {right}; "
        f"{f'the route it takes is {used}' if used else 'it has no route for it'}"
        f"{policy_text(host)}{host.counter_text('IpOutNoRoutes')}",
        f"Packets to {step.target} pass {host.name}: {_effect(state, step)}",
        "\n".join(repairs(step)),
    )


def _effect(state: LabState, step: Step) -> str:
    host = step.host
    if step.takes:
        return f"a local route makes its kernel take them as {host.name}'s own."
    if host.role == CLIENT:
        return "with no route, or a wrong one, its requests do not arrive."
    if host.role == DIRECTOR and state.method == "nat":
        return "requests to the real servers, or replies to the clients, end there."
    return "they end there, or take a path on which no host forwards them."
