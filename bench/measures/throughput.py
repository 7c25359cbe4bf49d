"""TCP throughput by iperf3, from the client to the server: what the server has received."""

from __future__ import annotations

from bench.measures import Figure
from bench.measures._iperf import iperf
from bench.testbed import Testbed

FIGURES = {
    "tcp": Figure("TCP, one stream", "Mbit/s"),
    "tcp_many": Figure("TCP, 4 streams", "Mbit/s"),
}
_STREAMS = {"tcp": 1, "tcp_many": 4}


def measure(testbed: Testbed, seconds: float) -> dict[str, float]:
    """Raises BuildFailed."""
    ends = {name: iperf(testbed, seconds, "-P", str(streams)) for name, streams in _STREAMS.items()}
    return {name: end["sum_received"]["bits_per_second"] / 1e6 for name, end in ends.items()}
