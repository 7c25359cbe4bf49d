"""iperf3 from the client to the server: throughput of TCP, and small UDP packets.

throughput   TCP with one stream and with four: the rate at the server
segments     TCP with one segment per packet, as on a wire, without segmentation offload
packets      UDP datagrams of 18 bytes, in the shortest Ethernet frames (64 bytes with the FCS), as fast as
             the client can send: the rate at the server, and processor time of the whole machine per packet
"""

from __future__ import annotations

import json
from typing import Any

from bench.measures import Figure, Measure
from bench.testbed import IPERF, Testbed
from labs.errors import BuildFailed
from labs.machine.load import processor_times

_STREAMS = {"tcp": 1, "tcp_many": 4}
_PAYLOAD = 18  # bytes


def iperf(testbed: Testbed, seconds: float, *options: str) -> dict[str, Any]:
    """The `end` part of iperf3's JSON report. Raises BuildFailed."""
    target = ("-c", testbed.target, "-p", str(IPERF))
    output = testbed.run("c", "iperf3", *target, "-t", f"{seconds:.0f}", "-J", *options, seconds=seconds + 20)
    report: dict[str, Any] = json.loads(output)
    if "error" in report:
        raise BuildFailed(f"iperf3: {report['error']}")
    return dict(report["end"])


def _throughput(testbed: Testbed, seconds: float) -> dict[str, float]:
    ends = {name: iperf(testbed, seconds, "-P", str(streams)) for name, streams in _STREAMS.items()}
    return {name: _megabits(end) for name, end in ends.items()}


def _segments(testbed: Testbed, seconds: float) -> dict[str, float]:
    with testbed.without_segmentation_offload():
        return {"tcp_segments": _megabits(iperf(testbed, seconds))}


def _megabits(end: dict[str, Any]) -> float:
    """Mbit/s at the receiver."""
    return float(end["sum_received"]["bits_per_second"]) / 1e6


def _packets(testbed: Testbed, seconds: float) -> dict[str, float]:
    before = _busy()
    end = iperf(testbed, seconds, "-u", "-l", str(_PAYLOAD), "-b", "0")
    busy = _busy() - before
    received = end["sum"]["packets"] - end["sum"]["lost_packets"]
    if received <= 0:
        return {}
    return {"packets": received / end["sum"]["seconds"], "cpu": busy / received * 1e6}


def _busy() -> float:
    """Seconds for which the machine's processors were busy."""
    idle, whole = processor_times()
    return whole - idle


MEASURES = (
    Measure(
        "throughput",
        {"tcp": Figure("TCP, one stream", "Mbit/s"), "tcp_many": Figure("TCP, 4 streams", "Mbit/s")},
        _throughput,
    ),
    Measure("segments", {"tcp_segments": Figure("TCP, one stream, no offload", "Mbit/s")}, _segments),
    Measure(
        "packets",
        {
            "packets": Figure("64-byte packets", "packets/s"),
            "cpu": Figure("CPU per packet", "us", more=False),
        },
        _packets,
    ),
)
