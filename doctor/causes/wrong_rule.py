"""The director has a rule for a port of no program or another service, or an address of no host."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from director.formats.ipvsadm_words import endpoint
from doctor.causes import Cause
from doctor.queries import FTP, flag, option
from doctor.routing import holder
from doctor.state import CLIENT, ROUTER, HostState, LabState, Service, Target

TITLE = "a rule names a port or an address that no real server has"


def find(state: LabState) -> Iterator[Cause]:
    for service in state.director.services:
        for target in service.targets if service.protocol != "UDP" else ():
            evidence = _wrong(state, service, target) if target.weight else ""
            if evidence:
                yield _cause(state, service, target, evidence)


def _wrong(state: LabState, service: Service, target: Target) -> str:
    """What is wrong with the rule, or ""; a server that does not listen on its own port is another cause."""
    if _is_local(target):
        return _wrong_locally(state, service, target)
    held = holder(state, target.address)
    host = held[0] if held else next((host for host in state.hosts if host.has(target.address)), None)
    if host is None:
        return f"no host has {target.address}"
    if host.role in (CLIENT, ROUTER):
        return f"{target.address} is the address of {host.name}, a {host.role}"
    if not target.port or service.mark or host.error or host.name == state.director_host.name:
        return ""
    if state.method != "nat":
        return ""
    if target.port in _ports(state, host):
        is_other = bool(service.port) and FTP in (service.port, target.port) and service.port != target.port
        return (
            f"on port {target.port} of {host.name} is the server of {_what(target.port)}" if is_other else ""
        )
    address = target.address
    if host.listens(address, target.port):
        return ""
    listens = sorted({listener.port for listener in host.listeners if listener.protocol == "TCP"})
    return f"{host.name} listens on {', '.join(map(str, listens)) or 'no port'}, not on {target.port}"


def _is_local(target: Target) -> bool:
    """Whether it is a program of the director's own (LocalNode)."""
    return ip_address(target.address).is_loopback


def _wrong_locally(state: LabState, service: Service, target: Target) -> str:
    """What is wrong with a program of the director's own as a real server."""
    host, port = state.director_host, target.port if state.method == "nat" else service.port
    if host.error or not port or any(host.listens(address, port) for address in (state.vip, target.address)):
        return ""
    return f"no program of {host.name} listens on port {port}"


def _ports(state: LabState, host: HostState) -> tuple[int, ...]:
    """The ports that the plan gives to the server."""
    server = next((server for server in state.servers if server.name == host.name), None)
    return (*server.ports, *((21,) if server.ftp else ())) if server else ()


def _what(port: int) -> str:
    return "ftp" if port == FTP else "http"


def _cause(state: LabState, service: Service, target: Target, evidence: str) -> Cause:
    others = state.by_role(CLIENT, ROUTER)
    return Cause(
        "wrong_rule",
        state.director_host.name,
        f"the service {service} has the real server {target}; {evidence}",
        "The director does not try its real servers: it schedules every connection by the rules. "
        f"Those for {target} are refused where nothing listens, get no answer from a server that speaks "
        "another protocol, and time out where there is no host.",
        "\n".join(_repairs(state, service, target)),
        () if _is_local(target) else tuple(host.name for host in others if host.has(target.address)),
    )


def _repairs(state: LabState, service: Service, target: Target) -> Iterator[str]:
    """Delete the rule; add the right one if the server has no other."""
    yield f"ipvsadm -d {option(service)} -r {target}"
    planned = next((server for server in state.servers if server.address == target.address), None)
    others = {other.address for other in service.targets if other != target}
    if planned and planned.address not in others:
        port = FTP if service.port == FTP else planned.ports[0]
        right = f"{endpoint(planned.address, port)} {flag(state)} -w {target.weight}"
        if port != FTP or planned.ftp:
            yield f"ipvsadm -a {option(service)} -r {right}"
