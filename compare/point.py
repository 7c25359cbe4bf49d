"""A measured point: a method, a number of real servers, the rate they delivered, and the limit.

Rates are in bytes per second, frames with their Ethernet header; shares are 0 to 1. The second half reads
the sources of a point: the logs of the clients, and processor times in proc(5).
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labs.machine.load import processor_times
from labs.run import json_lines

FULL = 0.9  # from this share of a link or a processor on, it counts as the limit
PROCESSOR = "the processor"
_TICKS = os.sysconf("SC_CLK_TCK")  # a second's


@dataclass(frozen=True, slots=True)
class Point:
    method: str  # nat, tun, dr
    servers: int
    seconds: float  # the length of the measurement
    delivered: float  # payload that reached the clients' programs, per second
    connections: int  # open at a time
    delivering: int  # connections with at least one byte received, at the end
    failed: int  # connections that failed during the measurement
    director_out: float  # what the switches received from the director, per second
    director_in: float
    director_packets: float  # sent by the director, per second
    director_link: float  # the busiest direction of its busiest interface, as a share of its rate
    server_links: float  # what the servers in use sent, as a share of their links' rates
    idle: float  # of all processors of the machine
    director_cpu: float  # of one processor
    troubles: tuple[str, ...] = ()  # failures during the measurement

    @property
    def by_machine(self) -> bool:
        """Whether the limit is the machine, not the method."""
        return self.limited_by == PROCESSOR

    @property
    def limited_by(self) -> str:
        """The resource that was full. The director's link comes first: the servers' links wait for it."""
        if self.director_link >= FULL:
            return "the director's link"
        if self.server_links >= FULL:
            return "the servers' links"
        if self.director_cpu >= FULL or self.idle <= 1 - FULL:
            return PROCESSOR
        return "nothing that is measured"

    @property
    def through_director(self) -> float:
        """Bytes that the director sent per byte delivered."""
        return self.director_out / self.delivered if self.delivered else float("nan")

    @property
    def packet_cost(self) -> float | None:
        """Processor time of the director's process per packet, in seconds."""
        return self.director_cpu / self.director_packets if self.director_packets else None

    def as_dict(self) -> dict[str, Any]:
        """The point as a dictionary for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Point:
        return cls(**{**fields, "troubles": tuple(fields["troubles"])})


# ---- what a point is made of ----


@dataclass(frozen=True, slots=True)
class Sample:
    """The state at a time (monotonic seconds): bytes, connections with data, and failures so far."""

    at: float
    bytes: int
    delivering: int
    failed: int


def samples_in(log: Path) -> list[Sample]:
    """The samples in a client's log; other lines are skipped."""
    return [Sample(**entry) for entry in json_lines.entries(log) if "at" in entry]


def bytes_at(samples: list[Sample], at: float) -> float:
    """The bytes received up to a time, interpolated between two samples."""
    before = [sample for sample in samples if sample.at <= at]
    after = [sample for sample in samples if sample.at > at]
    if not before or not after:
        return float(before[-1].bytes if before else 0)
    last, following = before[-1], after[0]
    share = (at - last.at) / (following.at - last.at)
    return last.bytes + (following.bytes - last.bytes) * share


@dataclass(frozen=True, slots=True)
class Processors:
    """Seconds up to a time: the idle and total time of all processors, and the time of one process."""

    at: float
    idle: float
    total: float
    process: float  # processor time of one process

    @classmethod
    def now(cls, pid: int) -> Processors:
        """The present state. Raises OSError if the process has ended."""
        idle, total = processor_times()
        own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used = (int(own[11]) + int(own[12])) / _TICKS  # utime and stime
        return cls(time.monotonic(), idle, total, used)

    def idle_until(self, later: Processors) -> float:
        """The share of all processors' time that was idle, 0 to 1."""
        return (later.idle - self.idle) / (later.total - self.total)

    def used_until(self, later: Processors) -> float:
        """The share of one processor's time that the process used, 0 to 1."""
        return (later.process - self.process) / (later.at - self.at)
