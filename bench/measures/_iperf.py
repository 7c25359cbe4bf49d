"""iperf3, from a testbed's client to its server, and what it reports at its end."""

from __future__ import annotations

import json
from typing import Any

from bench.testbed import IPERF, Testbed
from labs.errors import BuildFailed


def iperf(testbed: Testbed, seconds: float, *options: str) -> dict[str, Any]:
    """Raises BuildFailed."""
    where = ("-c", testbed.target, "-p", str(IPERF))
    said = testbed.run("c", "iperf3", *where, "-t", f"{seconds:.0f}", "-J", *options, seconds=seconds + 20)
    report: dict[str, Any] = json.loads(said)
    if "error" in report:
        raise BuildFailed(f"iperf3: {report['error']}")
    return dict(report["end"])
