"""VS-TUN, VS-DR: a real server listens on another port than the service's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from director.formats.ipvsadm_words import endpoint
from doctor.causes import Cause
from doctor.queries import FTP, HTTP, about_the_vip, is_redirected, services_of, start_httpd, stop_httpd
from doctor.state import SERVER, HostState, LabState, Service

TITLE = "the real server listens on another port than the VIP's"

_END = r"'?\[?([\d.]+|[\da-f:]+)\]?:(\d+)"  # in the script an IPv6 address is quoted, with its brackets
_RULE = re.compile(rf"^\s*ip\w+\s.*-\w*t\s+{_END}'?\s.*-[rR]\s+{_END}")


def find(state: LabState) -> Iterator[Cause]:
    if state.method == "nat":
        return
    yield from _rules(state)
    for host in state.by_role(SERVER):
        services = [service for service in services_of(state, HTTP) if _has(service, host)]
        others = _other_ports(state, host)
        if services and listens_elsewhere(state, host):
            yield _listener(state, host, services[0], others)


def listens_elsewhere(state: LabState, host: HostState) -> bool:
    """VS-TUN, VS-DR: whether the server's httpd listens on another port than that of the requests."""
    if state.method == "nat" or not _other_ports(state, host):
        return False
    return not (
        any(listener.port == HTTP for listener in host.listeners) or is_redirected(host, state.vip, HTTP)
    )


def _has(service: Service, host: HostState) -> bool:
    return host.main.address in {target.address for target in service.targets}


def _other_ports(state: LabState, host: HostState) -> list[int]:
    """The ports it listens on that no rule of the VIP names."""
    ruled = {service.port for service in state.director.services} | {FTP}
    return sorted({listener.port for listener in host.listeners if listener.protocol == "TCP"} - ruled)


def _listener(state: LabState, host: HostState, service: Service, others: list[int]) -> Cause:
    configuration = f"../../servers/{host.name}/nginx.conf"
    return Cause(
        "port_remapped",
        host.name,
        f"it listens on port {' and '.join(map(str, others))}, but not on port {HTTP} of the service "
        f"{service}",
        f"VS-{state.method.upper()} does not change a request's port: it arrives at {host.name} for port "
        f"{HTTP}, where nothing listens, and is refused. Only VS-NAT can change ports.",
        "\n".join(
            [
                f"sed -i 's/listen {others[0]};/listen {HTTP};/' {configuration}",
                *stop_httpd(host),
                *start_httpd(host),
            ]
        ),
    )


def _rules(state: LabState) -> Iterator[Cause]:
    """Rules in the script with a different port, which the director refused."""
    host = state.director_host
    for line in host.scripts.get("rules.sh", "").splitlines():
        rule = _RULE.match(line)
        remaps = rule and rule[1] == state.vip and rule[2] != rule[4]
        if rule and remaps and not _is_there(state, int(rule[2]), rule[3]):
            yield Cause(
                "port_remapped",
                host.name,
                f"rules.sh says: {line.strip()}; the service TCP {endpoint(rule[1], int(rule[2]))} has no "
                f"{state.server_name(rule[3])}",
                f"VS-{state.method.upper()} does not change a request's port, so a rule with another port is "
                "refused. Only VS-NAT can change ports.",
                f"ippfvsadm -A -t {endpoint(rule[1], int(rule[2]))} -R {endpoint(rule[3], int(rule[2]))}",
            )


def _is_there(state: LabState, port: int, address: str) -> bool:
    return any(
        target.address == address
        for service in about_the_vip(state)
        if service.port == port
        for target in service.targets
    )
