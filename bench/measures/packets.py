"""Small packets: UDP datagrams of 18 bytes, in the shortest Ethernet frames (64 bytes with their check).

The client sends as fast as it can; what the server has received counts. The processors' time, all
of the machine's, is divided by that.
"""

from __future__ import annotations

from bench.measures import Figure
from bench.measures._iperf import iperf
from bench.testbed import Testbed
from labs.machine.proc import processor_times

FIGURES = {
    "packets": Figure("64-byte packets", "packets/s"),
    "cpu": Figure("CPU per packet", "us", more=False),
}
_DATA = 18  # bytes


def measure(testbed: Testbed, seconds: float) -> dict[str, float]:
    """Raises BuildFailed."""
    before = _busy()
    end = iperf(testbed, seconds, "-u", "-l", str(_DATA), "-b", "0")
    busy = _busy() - before
    received = end["sum"]["packets"] - end["sum"]["lost_packets"]
    if received <= 0:
        return {}
    return {"packets": received / end["sum"]["seconds"], "cpu": busy / received * 1e6}


def _busy() -> float:
    """Seconds that the processors have worked."""
    idle, whole = processor_times()
    return whole - idle
