"""A service on a single port is persistent, although nothing needs it."""

from __future__ import annotations

from collections.abc import Iterator

from doctor.causes import Cause
from doctor.queries import about_the_vip, option, web_ports
from doctor.state import LabState, Service

TITLE = "persistence keeps sending the client to the same server"


def find(state: LabState) -> Iterator[Cause]:
    if len(web_ports(state)) > 1:
        return  # sessions over several ports need it
    for service in about_the_vip(state):
        if service.persistent and (service.port or service.mark):  # port 0, all ports, requires it
            yield _cause(state, service)


def _cause(state: LabState, service: Service) -> Cause:
    edit = f"ipvsadm -E {option(service)} -s {service.scheduler}"
    return Cause(
        "persistence",
        state.director_host.name,
        f"the service {service} is persistent for {service.persistent} s{_templates(state)}",
        f"For {service.persistent} s after its last connection a client gets the same real server again, "
        "from a template with client port 0, without the scheduler. One client, or many behind one address, "
        "load one real server.",
        edit,
    )


def _templates(state: LabState) -> str:
    """Its templates in the connection table."""
    found = [
        f"{entry.client} stays on {state.server_name(entry.server.rpartition(':')[0])}"
        for entry in state.director.connections
        if entry.is_template and not entry.vip.endswith(":21")
    ]
    return "; " + ", ".join(found[:3]) if found else ""
