"""Latency: how long a small http request takes on a connection that is there, one at a time."""

from __future__ import annotations

from bench.measures import Figure
from bench.measures._wrk import number_behind, wrk
from bench.testbed import Testbed

FIGURES = {
    "p50": Figure("latency, median", "us", more=False),
    "p99": Figure("latency, 99 of 100", "us", more=False),
}


def measure(testbed: Testbed, seconds: float) -> dict[str, float]:
    """Raises BuildFailed."""
    said = wrk(testbed, seconds, "-c", "1", "--latency")
    return {"p50": number_behind("50%", said), "p99": number_behind("99%", said)}
