"""Which of the director's virtual services is about what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from doctor.state import LabState, Service

FTP, HTTP = 21, 80


def services_of(state: LabState, port: int) -> list[Service]:
    """Those that a TCP packet to `port` of the VIP belongs to: by mark, by port, or by port 0."""
    marks = {mark.mark for mark in state.director.marks if mark.covers(state.vip, port)}
    services = state.director.services
    found = [one for one in services if one.mark and one.mark in marks]
    for each in (port, 0):
        found = found or [one for one in services if _is_of(one, state.vip, each)]
    return found


def _is_of(service: Service, vip: str, port: int) -> bool:
    return (service.protocol, service.address, service.port) == ("TCP", vip, port)


def web_ports(state: LabState) -> list[int]:
    """The VIP's ports that sessions may use: http's, those of rules, and those the plan adds to http's."""
    ruled = {one.port for one in about_the_vip(state) if not one.mark}
    planned = {port for server in state.servers for port in server.ports[1:]}
    return sorted((ruled | planned | {HTTP}) - {0})


def told(services: Iterable[Service]) -> str:
    return ", ".join(map(str, services)) or "none"


def option(service: Service) -> str:
    """How ipvsadm names it."""
    if service.mark:
        return f"-f {service.mark}"
    return f"-{service.protocol[0].lower()} {service.address}:{service.port}"


def about_the_vip(state: LabState) -> Iterator[Service]:
    """Services for TCP on the VIP, those of marks among them, but not ftp's."""
    for service in state.director.services:
        if service.mark or (
            service.protocol == "TCP" and service.address == state.vip and service.port != FTP
        ):
            yield service
