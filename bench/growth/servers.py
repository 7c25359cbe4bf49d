"""More and more real servers of one service, of which wlc looks at each for a new connection."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from bench.clients import PORT, clients
from bench.measures import Figure
from bench.testbed import SERVER, VIP, Testbed, server_line

AXIS = "real servers"
POINTS = (1, 10, 100, 1_000)
FIGURES = {
    "known": Figure("packets of connections that are there", "packets/s"),
    "new": Figure("first packets, scheduled by wlc", "packets/s"),
}
_NEW = 10_000  # connections at each point
_FIRST = IPv4Address(SERVER)


def lines(point: int, before: int, method: str) -> Sequence[str]:
    """What has to be added to a director's rules."""
    service = f"-u {VIP}:{PORT}"
    begin = () if before else (f"-A {service} -s wlc",)
    return (*begin, *(server_line(service, method, str(_FIRST + number)) for number in range(before, point)))


def measure(testbed: Testbed, point: int, before: int, turn: int, seconds: float) -> dict[str, float]:  # noqa: ARG001
    """Raises BuildFailed."""
    place = turn * len(POINTS) + POINTS.index(point)
    with clients(testbed, _NEW, first=place * _NEW) as many:
        return {"new": many.rate(), "known": many.rate(seconds)}
