"""What the clients of load.py have written down, read by those who measure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """At a moment (monotonic seconds): bytes so far, connections that have received some, failures so far."""

    at: float
    bytes: int
    delivering: int
    failed: int


def samples_in(log: Path) -> list[Sample]:
    """All complete lines of a client's log; those that are something else are passed over."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return [Sample(**json.loads(line)) for line in lines if line.startswith('{"at"')]


def bytes_at(samples: list[Sample], at: float) -> float:
    """Bytes that had arrived at a moment, between two samples in proportion."""
    before = [one for one in samples if one.at <= at]
    after = [one for one in samples if one.at > at]
    if not before or not after:
        return float(before[-1].bytes if before else 0)
    one, other = before[-1], after[0]
    return one.bytes + (other.bytes - one.bytes) * (at - one.at) / (other.at - one.at)
