"""iperf3, from a site's client to its server, and what it reports at its end."""

from __future__ import annotations

import json
from typing import Any

from bench.site import IPERF, Site
from labs.errors import BuildFailed


def iperf(site: Site, seconds: float, *options: str) -> dict[str, Any]:
    """Raises BuildFailed."""
    where = ("-c", site.target, "-p", str(IPERF))
    said = site.run("c", "iperf3", *where, "-t", f"{seconds:.0f}", "-J", *options, seconds=seconds + 20)
    report: dict[str, Any] = json.loads(said)
    if "error" in report:
        raise BuildFailed(f"iperf3: {report['error']}")
    return dict(report["end"])
