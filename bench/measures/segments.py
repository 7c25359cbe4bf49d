"""TCP throughput with each segment in a packet of its own, as on a wire, and not many in one buffer."""

from __future__ import annotations

from bench.measures import Figure
from bench.measures._iperf import iperf
from bench.testbed import Testbed

FIGURES = {"tcp_segments": Figure("TCP, one stream, no offload", "Mbit/s")}


def measure(testbed: Testbed, seconds: float) -> dict[str, float]:
    """Raises BuildFailed."""
    with testbed.segments_apart():
        return {"tcp_segments": iperf(testbed, seconds)["sum_received"]["bits_per_second"] / 1e6}
