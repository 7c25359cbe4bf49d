"""New connections: http requests with `Connection: close`, on 16 connections at a time."""

from __future__ import annotations

from bench.measures import Figure
from bench.measures._wrk import number_behind, wrk
from bench.testbed import Testbed

FIGURES = {"connections": Figure("new connections", "1/s")}


def measure(testbed: Testbed, seconds: float) -> dict[str, float]:
    """Raises BuildFailed."""
    said = wrk(testbed, seconds, "-c", "16", "-H", "Connection: close")
    return {"connections": number_behind("Requests/sec:", said)}
