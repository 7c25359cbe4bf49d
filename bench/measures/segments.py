"""TCP throughput with each segment in a packet of its own, as on a wire, and not many in one buffer."""

from __future__ import annotations

from bench.measures import Figure
from bench.measures._iperf import iperf
from bench.site import Site

FIGURES = {"tcp_segments": Figure("TCP, one stream, no offload", "Mbit/s")}


def measure(site: Site, seconds: float) -> dict[str, float]:
    """Raises BuildFailed."""
    with site.segments_apart():
        return {"tcp_segments": iperf(site, seconds)["sum_received"]["bits_per_second"] / 1e6}
