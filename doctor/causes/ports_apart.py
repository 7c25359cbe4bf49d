"""Two web ports of the VIP are two services, each scheduled separately."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from doctor.causes import Cause
from doctor.queries import flag, option, services_of, web_ports
from doctor.state import LabState, Service

TITLE = "each port of a session is scheduled separately"

_BY_CLIENT = ("sh", "mh")  # schedulers that hash the client's address, in the same way for every service
_WITH_PORTS = ("sh-port", "mh-port")


def find(state: LabState) -> Iterator[Cause]:
    found = {port: services_of(state, port) for port in web_ports(state)}
    apart = {port: services[0] for port, services in found.items() if services and services[0].targets}
    if len(set(map(str, apart.values()))) < 2 or not _have_servers_in_common(apart.values()):
        return
    if all(_goes_by_client(service) for service in apart.values()):
        return
    named = " and ".join(
        f"port {port} belongs to {service} ({_how(service)})" for port, service in apart.items()
    )
    yield Cause(
        "ports_apart",
        state.director_host.name,
        f"{named}, with the same real servers",
        "A session that uses both ports begins on one real server and continues on another, which knows "
        "nothing of it: each service has its own scheduler and its own persistence. One persistent service "
        "for both ports, by a firewall mark, keeps them together.",
        "\n".join(_repair(state, apart)),
    )


def _goes_by_client(service: Service) -> bool:
    return service.scheduler in _BY_CLIENT and not set(service.flags) & set(_WITH_PORTS)


def _have_servers_in_common(services: Iterable[Service]) -> bool:
    common = set.intersection(*({target.address for target in service.targets} for service in services))
    return len(common) > 1


def _how(service: Service) -> str:
    return (
        f"{service.scheduler}, persistent {service.persistent} s" if service.persistent else service.scheduler
    )


def _repair(state: LabState, apart: Mapping[int, Service]) -> Iterator[str]:
    first, method = next(iter(apart.values())), flag(state)
    if any(target.port != service.port for service in apart.values() for target in service.targets):
        # A service by mark cannot change ports, so hashing the client's address is the only repair.
        yield from (f"ipvsadm -E {option(service)} -s sh" for service in dict.fromkeys(apart.values()))
        return
    yield from (f"ipvsadm -D {option(service)}" for service in dict.fromkeys(apart.values()))
    yield "fwmark -F"
    yield from (f"fwmark -A -p tcp -d {state.vip} --dport {port} --set-mark 1" for port in apart)
    yield f"ipvsadm -A -f 1 -s {first.scheduler} -p 300"
    yield from (
        f"ipvsadm -a -f 1 -r {target.address} {method} -w {target.weight}" for target in first.targets
    )
