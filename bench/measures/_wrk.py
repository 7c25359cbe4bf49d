"""wrk, a client for http, and what it prints."""

from __future__ import annotations

import re

from bench.testbed import HTTP, Testbed
from labs.errors import BuildFailed

_SCALE = {"us": 1.0, "ms": 1e3, "s": 1e6}


def wrk(testbed: Testbed, seconds: float, *options: str) -> str:
    """Raises BuildFailed."""
    times = ("-t", "1", "-d", f"{seconds:.0f}s", "--timeout", "10s")
    return testbed.run("c", "wrk", *times, *options, f"http://{testbed.target}:{HTTP}/", seconds=seconds + 20)


def number_behind(words: str, said: str) -> float:
    """The number that follows; microseconds where it is a time. Raises BuildFailed."""
    found = re.search(rf"{re.escape(words)}\s+([\d.]+)(us|ms|s)?\b", said)
    if found is None:
        raise BuildFailed(f"wrk says nothing of {words!r}: {said.strip().splitlines()[-1:]}")
    return float(found[1]) * _SCALE.get(found[2] or "us", 1.0)
