"""Questions that several causes ask of a lab's state: which service handles what, and who answers ARP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from doctor.state import HostState, LabState, Service

# ---- services ----

FTP, HTTP = 21, 80


def services_of(state: LabState, port: int) -> list[Service]:
    """The services of a TCP packet to `port` of the VIP: by mark, by port, or by port 0."""
    marks = {mark.mark for mark in state.director.marks if mark.covers(state.vip, port)}
    services = state.director.services
    found = [one for one in services if one.mark and one.mark in marks]
    for number in (port, 0):
        found = found or [one for one in services if _is_of(one, state.vip, number)]
    return found


def _is_of(service: Service, vip: str, port: int) -> bool:
    return (service.protocol, service.address, service.port) == ("TCP", vip, port)


def web_ports(state: LabState) -> list[int]:
    """The VIP's ports that sessions may use: http's, those in rules, and those the plan adds."""
    ruled = {one.port for one in about_the_vip(state) if not one.mark}
    planned = {port for server in state.servers for port in server.ports[1:]}
    return sorted((ruled | planned | {HTTP}) - {0})


def listed(services: Iterable[Service]) -> str:
    return ", ".join(map(str, services)) or "none"


def option(service: Service) -> str:
    """The service as an option of ipvsadm."""
    if service.mark:
        return f"-f {service.mark}"
    return f"-{service.protocol[0].lower()} {service.address}:{service.port}"


def about_the_vip(state: LabState) -> Iterator[Service]:
    """TCP services on the VIP, including those by mark, without ftp's."""
    for service in state.director.services:
        if service.mark or (
            service.protocol == "TCP" and service.address == state.vip and service.port != FTP
        ):
            yield service


# ---- ARP ----

SILENT = (1, 2, 8)  # values of arp_ignore: replies for the receiving interface's own addresses, or none
_SILENT_FOR_HOSTS, _SILENT_FOR_ALL = 3, 8  # 3: none for addresses of scope host


def is_silenced(host: HostState, vip: str) -> bool:
    """Whether the host does not reply to ARP requests for the VIP."""
    lan = host.main.interface
    ignore = host.setting("arp_ignore", lan)
    held = [one for one in host.addresses if one.address == vip and one.up]
    if ignore == _SILENT_FOR_HOSTS:
        return all(one.scope in ("host", "link") for one in held) or _is_filtered(host, vip)
    quiet = ignore in SILENT and not any(one.interface == lan for one in held)
    return quiet or ignore == _SILENT_FOR_ALL or _is_filtered(host, vip)


def _is_filtered(host: HostState, vip: str) -> bool:
    """Whether an ARP filter rule drops packets with the VIP."""
    return any(
        rule.family == "arp" and rule.verdict == "drop" and vip in json.dumps(rule.matches)
        for rule in host.filters
    )
