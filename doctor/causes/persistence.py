"""A service of one port is persistent, where nothing asks for it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.services import about_the_vip, option, web_ports
from doctor.state import LabState, Service

TITLE = "a client is kept with the real server that it had before"


def find(state: LabState) -> Iterator[Cause]:
    if len(web_ports(state)) > 1:
        return  # a session over several ports needs it
    for service in about_the_vip(state):
        if service.persistent:
            yield _cause(state, service)


def _cause(state: LabState, service: Service) -> Cause:
    edit = f"ipvsadm -E {option(service)} -s {service.scheduler}"
    return Cause(
        "persistence",
        state.director_host.name,
        f"the service {service} is persistent for {service.persistent} s{_templates(state)}",
        f"For {service.persistent} s after its last connection a client gets the real server that it had "
        "before, noted in an entry with the client's port 0; the scheduler is not asked. One client, or many "
        "behind one address, load one real server.",
        edit,
    )


def _templates(state: LabState) -> str:
    """What the table has of it."""
    found = [
        f"{one.client} is kept with {state.server_name(one.server.rpartition(':')[0])}"
        for one in state.director.connections
        if one.is_template and not one.vip.endswith(":21")
    ]
    return "; " + ", ".join(found[:3]) if found else ""
