"""More and more virtual services, which all have clients."""

from __future__ import annotations

from collections.abc import Sequence

from bench.clients import PORT, clients
from bench.measures import Figure
from bench.testbed import VIP, Testbed, server_line

AXIS = "virtual services"
POINTS = (1, 10, 100)
FIGURES = {
    "known": Figure("packets of connections that are there", "packets/s"),
    "new": Figure("first packets", "packets/s"),
}
_NEW = 10_000  # connections at each point


def lines(point: int, before: int, method: str) -> Sequence[str]:
    """What has to be added to a director's rules."""
    services = [f"-u {VIP}:{PORT + number}" for number in range(before, point)]
    return [line for service in services for line in (f"-A {service} -s rr", server_line(service, method))]


def measure(testbed: Testbed, point: int, before: int, turn: int, seconds: float) -> dict[str, float]:  # noqa: ARG001
    """Raises BuildFailed."""
    place = turn * len(POINTS) + POINTS.index(point)
    with clients(testbed, _NEW, first=place * _NEW, ports=point) as many:
        return {"new": many.rate(), "known": many.rate(seconds)}
