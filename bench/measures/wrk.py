"""wrk against nginx: small http requests.

connections   new connections: requests with `Connection: close`, 16 connections at a time
latency       the time of a request on an open connection, one request at a time
"""

from __future__ import annotations

import re

from bench.measures import Figure, Measure
from bench.testbed import HTTP, Testbed
from director.core.packet import Endpoint
from labs.errors import BuildFailed

_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


def wrk(testbed: Testbed, seconds: float, *options: str) -> str:
    """The output of wrk. Raises BuildFailed."""
    times = ("-t", "1", "-d", f"{seconds:.0f}s", "--timeout", "10s")
    return testbed.run(
        "c", "wrk", *times, *options, f"http://{Endpoint(testbed.target, HTTP)}/", seconds=seconds + 20
    )


def number_after(words: str, output: str) -> float:
    """The number after these words in wrk's output, a time in microseconds. Raises BuildFailed."""
    found = re.search(rf"{re.escape(words)}\s+([\d.]+)(us|ms|s)?\b", output)
    if found is None:
        raise BuildFailed(f"wrk printed no number after {words!r}: {output.strip().splitlines()[-1:]}")
    return float(found[1]) * _MICROSECONDS.get(found[2] or "us", 1.0)


def _connections(testbed: Testbed, seconds: float) -> dict[str, float]:
    output = wrk(testbed, seconds, "-c", "16", "-H", "Connection: close")
    return {"connections": number_after("Requests/sec:", output)}


def _latency(testbed: Testbed, seconds: float) -> dict[str, float]:
    output = wrk(testbed, seconds, "-c", "1", "--latency")
    return {"p50": number_after("50%", output), "p99": number_after("99%", output)}


MEASURES = (
    Measure("connections", {"connections": Figure("new connections", "1/s")}, _connections),
    Measure(
        "latency",
        {
            "p50": Figure("latency, median", "us", more=False),
            "p99": Figure("latency, 99 of 100", "us", more=False),
        },
        _latency,
    ),
)
