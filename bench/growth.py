"""How the cost of a packet grows, in VS-DR: with connections, real servers and virtual services.

Each of these is a dimension. growth_run.py measures point after point, growth_results.py keeps the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from bench.many_clients import PORT, clients
from bench.measures import Figure
from bench.testbed import SERVER, VIP, Testbed, server_line
from labs.machine.load import memory_available

METHOD = "dr"
FIRST_SERVER = IPv4Address(SERVER)
_ENOUGH = 50_000  # new connections, to measure the memory that a connection takes
_NEW = 10_000  # new connections at each point of servers and services
_KNOWN = Figure("packets of established connections", "packets/s")


@dataclass(frozen=True, slots=True)
class Step:
    """A point, the point before it, and the round that is measured."""

    point: int
    before: int
    turn: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Dimension:
    name: str
    axis: str  # the label of the x axis: what is counted
    points: tuple[int, ...]
    figures: Mapping[str, Figure]
    # lines of ipvsadm that a point adds to those of the point before
    rules: Callable[[int, int], Sequence[str]]
    measure: Callable[[Testbed, Step], dict[str, float]]  # may raise LabError


def _more_connections(_point: int, before: int) -> Sequence[str]:
    service = f"-u {VIP}:{PORT}"
    return () if before else (f"-A {service} -s rr", server_line(service, METHOD))


def _measure_connections(testbed: Testbed, step: Step) -> dict[str, float]:
    with clients(testbed, step.point) as sender:
        free = memory_available()
        sender.rate()
        taken = free - memory_available()
        found = {"known": sender.rate(step.seconds)}
    if testbed.method and step.turn == 0 and step.point - step.before >= _ENOUGH:
        found["memory"] = taken / (step.point - step.before)
    return found


def _more_servers(point: int, before: int) -> Sequence[str]:
    service = f"-u {VIP}:{PORT}"
    begin = () if before else (f"-A {service} -s wlc",)
    servers = (str(FIRST_SERVER + number) for number in range(before, point))
    return (*begin, *(server_line(service, METHOD, server) for server in servers))


def _measure_servers(testbed: Testbed, step: Step) -> dict[str, float]:
    with clients(testbed, _NEW, first=_unused(SERVERS, step)) as sender:
        return {"new": sender.rate(), "known": sender.rate(step.seconds)}


def _more_services(point: int, before: int) -> Sequence[str]:
    services = [f"-u {VIP}:{PORT + number}" for number in range(before, point)]
    return [line for service in services for line in (f"-A {service} -s rr", server_line(service, METHOD))]


def _measure_services(testbed: Testbed, step: Step) -> dict[str, float]:
    with clients(testbed, _NEW, first=_unused(SERVICES, step), ports=step.point) as sender:
        return {"new": sender.rate(), "known": sender.rate(step.seconds)}


def _unused(dimension: Dimension, step: Step) -> int:
    """The first of `_NEW` clients that have not sent a packet yet."""
    return _NEW * (step.turn * len(dimension.points) + dimension.points.index(step.point))


CONNECTIONS = Dimension(
    "connections",
    "connections in the table",
    (10, 100, 1_000, 10_000, 100_000, 1_000_000),
    {"known": _KNOWN, "memory": Figure("memory of a new connection", "bytes", more=False)},
    _more_connections,
    _measure_connections,
)
SERVERS = Dimension(  # of one service; wlc examines every server for a new connection
    "servers",
    "real servers",
    (1, 10, 100, 1_000),
    {"known": _KNOWN, "new": Figure("first packets, scheduled by wlc", "packets/s")},
    _more_servers,
    _measure_servers,
)
SERVICES = Dimension(
    "services",
    "virtual services",
    (1, 10, 100),
    {"known": _KNOWN, "new": Figure("first packets", "packets/s")},
    _more_services,
    _measure_services,
)
DIMENSIONS = {dimension.name: dimension for dimension in (CONNECTIONS, SERVERS, SERVICES)}
