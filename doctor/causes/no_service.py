"""The director has no virtual service for http on the VIP, or one without real servers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from director.formats.ipvsadm_words import endpoint, mark_options
from doctor.causes import Cause
from doctor.queries import FTP, HTTP, listed, services_of
from doctor.state import LabState, PlannedServer

TITLE = "the director has no service for this address and port"
EXPLAINS = ("quiesced", "wrong_rule")  # of services for something else


def find(state: LabState) -> Iterator[Cause]:
    if state.director.error:
        return
    missing = [
        port for port in _ports(state) if not any(service.targets for service in services_of(state, port))
    ]
    if not missing:
        return
    yield Cause(
        "no_service",
        state.director_host.name,
        f"{', '.join(_evidence(state, port) for port in missing)}; the director's services are "
        f"{listed(state.director.services)}",
        f"Packets that match no rule are left to the director's own kernel. It has {state.vip}, but nothing "
        "listens there, so it refuses the connection at once; another port or protocol is another service.",
        "\n".join(dict.fromkeys(line for port in missing for line in _repair(state, port))),
    )


def _ports(state: LabState) -> Iterator[int]:
    """The port of http, and that of ftp if clients tried it and failed."""
    yield HTTP
    if any(trial.port == FTP for trial in state.failures):
        yield FTP


def _evidence(state: LabState, port: int) -> str:
    service = f"TCP {endpoint(state.vip, port)}"
    found = services_of(state, port)
    if found and found[0].mark:
        return f"packets to {service} have the mark of {found[0]}, which has no real server"
    return f"{service} has no real server" if found else f"there is no service {service}"


def _repair(state: LabState, port: int) -> Iterator[str]:
    """A mark takes precedence over addresses; without it, an existing service of the port may apply."""
    yield from (
        f"fwmark -D {mark_options(asdict(mark))}"
        for mark in state.director.marks
        if mark.covers(state.vip, port)
    )
    here = (service for service in state.director.services if not service.mark)
    has_servers = any(
        service.targets
        for service in here
        if (service.protocol, service.address, service.port) == ("TCP", state.vip, port)
    )
    if not has_servers:
        yield from (_rule(state, server, port) for server in _servers(state, port))


def _servers(state: LabState, port: int) -> Iterator[PlannedServer]:
    return (server for server in state.servers if port == HTTP or server.ftp)


def _rule(state: LabState, server: PlannedServer, port: int) -> str:
    to = server.ports[0] if port == HTTP else port
    weight = f" -w {server.weight}" if server.weight != 1 and port == HTTP else ""
    return f"ippfvsadm -A -t {endpoint(state.vip, port)} -R {endpoint(server.address, to)}{weight}"
