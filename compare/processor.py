"""How busy the processors were between two moments: all of them, and one process's share.

Read from proc(5). The machine's figure counts everything that runs on it, the lab or not.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from labs.machine.load import processor_times

_TICKS = os.sysconf("SC_CLK_TCK")  # a second's


@dataclass(frozen=True, slots=True)
class Processors:
    """A moment: seconds since some start, of which all processors were idle or did anything."""

    at: float
    idle: float
    total: float
    process: float  # seconds of processor time that one process has used

    @classmethod
    def now(cls, pid: int) -> Processors:
        """Raises OSError where the process has ended."""
        idle, total = processor_times()
        own = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used = (int(own[11]) + int(own[12])) / _TICKS  # utime and stime
        return cls(time.monotonic(), idle, total, used)

    def idle_until(self, later: Processors) -> float:
        """The share of all processors' time that was idle, 0 to 1."""
        return (later.idle - self.idle) / (later.total - self.total)

    def used_until(self, later: Processors) -> float:
        """How much of one processor the process has used, 0 to 1."""
        return (later.process - self.process) / (later.at - self.at)
