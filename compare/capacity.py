"""How many real servers a director in VS-NAT carries, by the published calculation, and with other costs.

Published: packets have 536 bytes on average, rewriting one takes 60 us, so the director passes
536 / 60 us = 8.93 MB/s, which is 22 servers of 400 kB/s or 15 of 600 kB/s. The same with what a packet
costs here: our own engine from this very run, others where a kept result of `./inv bench` has them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from compare.results import Results

PACKET = 536  # bytes
REWRITING = 60e-6  # seconds, on a Pentium
SERVERS = (400e3, 600e3)  # bytes a second that a published real server delivers
BENCH = Path(__file__).resolve().parent.parent / "docs" / "bench"
_ENGINES = ("scapy", "ebpf", "ipvs")


@dataclass(frozen=True, slots=True)
class Capacity:
    """A director that rewrites one packet in `cost` seconds, and where that figure comes from."""

    name: str
    cost: float
    source: str

    @property
    def rate(self) -> float:
        """Bytes a second that it passes."""
        return PACKET / self.cost

    def servers(self, rate: float) -> float:
        """How many real servers of that rate it carries."""
        return self.rate / rate


PUBLISHED = Capacity("published", REWRITING, "Pentium, kernel 2.0.36")


def capacities(results: Results, kept: Path = BENCH) -> list[Capacity]:
    """The published one, the engine of this run, and every engine in a kept result."""
    return [PUBLISHED, *_of_run(results), *_of_bench(kept)]


def _of_run(results: Results) -> Iterator[Capacity]:
    """From the point at which VS-NAT's director sent most: its process's time over its packets."""
    points = [point for point in results.sound("nat") if point.packet_cost]
    if points and results.settings["engine"] == "scapy":  # the other engines work in the kernel's time
        busiest = max(points, key=lambda point: point.director_packets)
        source = f"this run: processor time of the director, {busiest.director_packets:.0f} packets/s"
        yield Capacity("scapy", busiest.packet_cost or 0.0, source)


def _of_bench(kept: Path) -> Iterator[Capacity]:
    """The cost of a packet is one over the most packets a second that got through."""
    for file in sorted(kept.glob("*/results.json")):
        samples = json.loads(file.read_text())["samples"]
        for engine in _ENGINES:
            values = [
                one["value"]
                for one in samples
                if (one["method"], one["contender"], one["figure"]) == ("nat", engine, "packets")
            ]
            if values:
                yield Capacity(
                    engine, 1 / median(values), f"docs/bench/{file.parent.name}: 64-byte packets/s"
                )
