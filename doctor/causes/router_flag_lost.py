"""IPv6: a router's advertisements lack the router flag, and hosts delete the default route learnt from it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import Denial, denials, link_locals
from doctor.state import LabState

TITLE = "a router's neighbour advertisements lack the router flag"
VERSIONS = (6,)  # of IP


def find(state: LabState) -> Iterator[Cause]:
    for denial in denials(state):
        yield Cause(
            "router_flag_lost",
            denial.router.name,
            "; ".join((*denial.evidence, *_forgetful(state, denial))),
            f"{', '.join(denial.learners)} learnt the default route from {denial.router.name}. A host that "
            "hears from its router an advertisement without the router flag takes it for a host from then "
            "on, and deletes the route (RFC 4861, 7.2.5), until the next router advertisement.",
            "\n".join(denial.repairs),
            denial.learners,
        )


def _forgetful(state: LabState, denial: Denial) -> Iterator[str]:
    """`not a router in the neighbour table of rs1, rs2: fe80::1`"""
    for address in dict.fromkeys(link_locals(denial.router, denial.plug)):
        names = [
            host.name
            for host, plug in state.on_switch(denial.plug.switch)
            if host.name in denial.learners
            and (entry := host.neighbour(address, plug.interface))
            and not entry.router
        ]
        if names:
            yield f"not a router in the neighbour table of {', '.join(names)}: {address}"
