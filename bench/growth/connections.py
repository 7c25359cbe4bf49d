"""More and more connections in the table."""

from __future__ import annotations

from collections.abc import Sequence

from bench.clients import PORT, clients
from bench.measures import Figure
from bench.testbed import VIP, Testbed, server_line
from labs.machine.proc import memory_available

AXIS = "connections in the table"
POINTS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
FIGURES = {
    "known": Figure("packets of connections that are there", "packets/s"),
    "memory": Figure("memory for each of the new ones", "bytes", more=False),
}
_ENOUGH = 50_000  # new ones, to see what they take of the machine's memory


def lines(point: int, before: int, method: str) -> Sequence[str]:  # noqa: ARG001
    """What has to be added to a director's rules."""
    service = f"-u {VIP}:{PORT}"
    return () if before else (f"-A {service} -s rr", server_line(service, method))


def measure(testbed: Testbed, point: int, before: int, turn: int, seconds: float) -> dict[str, float]:
    """Raises BuildFailed."""
    with clients(testbed, point) as many:
        free = memory_available()
        many.rate()
        taken = free - memory_available()
        found = {"known": many.rate(seconds)}
    if testbed.method and turn == 0 and point - before >= _ENOUGH:
        found["memory"] = taken / (point - before)
    return found
