"""The load of this machine (proc(5)) and its resulting slowness, the factor for every deadline.

Two things make a deadline too short: a slower processor than that of the reference machine (an emulated one
is 20 to 30 times slower), and other programs that use the processors. A short probe measures the first; the
probe's waiting time and the kernel's load figures measure the second. Every deadline is at least twice what
an idle machine needs, so a machine half as fast needs no more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MARGIN = 2.0  # a machine this many times slower than the reference still meets every deadline
LIMIT = 100.0  # a larger factor is more likely an error of measurement
_REFERENCE = 0.005  # seconds of processor time that _probe takes on the reference machine
_FRESH = 2.0  # seconds that a measurement is valid
_LOAD = Path("/proc/loadavg")


def _probe() -> None:
    """A fixed amount of work for the interpreter."""
    number = 0
    for step in range(50_000):
        number = (number * 31 + step) & 0xFFFF


def load(text: str) -> float:
    """Runnable processes from /proc/loadavg: of the last minute or now, whichever is more."""
    minute, _, _, runnable, *_ = text.split()
    return max(float(minute), float(runnable.partition("/")[0]) - 1)  # the reader itself is running


@dataclass(slots=True)
class Pace:
    """Measures at most every two seconds; tests replace `probe`, the clocks and `load_file`."""

    probe: Callable[[], None] = _probe
    clock: Callable[[], float] = time.monotonic
    processor_clock: Callable[[], float] = time.thread_time
    load_file: Path = _LOAD
    _measured: float = field(default=-_FRESH, init=False)
    _slowness: float = field(default=1.0, init=False)

    def slowness(self) -> float:
        """The factor for deadlines, 1 to 100."""
        now = self.clock()
        if now - self._measured >= _FRESH:
            self._slowness = self._measure()
            self._measured = now
        return self._slowness

    def _measure(self) -> float:
        began, used = self.clock(), self.processor_clock()
        self.probe()
        wall, used = self.clock() - began, self.processor_clock() - used
        speed = max(1.0, used / _REFERENCE)
        waited = wall / used if used > 0 else 1.0  # a container's quota, a hypervisor's other guests
        contention = max(1.0, waited, self._load() / (os.cpu_count() or 1))
        return min(LIMIT, max(1.0, speed * contention / MARGIN))

    def _load(self) -> float:
        try:
            return load(self.load_file.read_text())
        except (OSError, ValueError):  # no /proc, or another format
            return 0.0


_TICKS = os.sysconf("SC_CLK_TCK")  # per second
_IDLE = slice(3, 5)  # idle and iowait
_ALL = slice(0, 8)  # the fields that follow are contained in these


def memory_available() -> int:
    """Bytes of memory available to programs (MemAvailable)."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def processor_times() -> tuple[float, float]:
    """Seconds of all processors since boot: idle, and in total."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    seconds = [int(word) / _TICKS for word in words]
    return sum(seconds[_IDLE]), sum(seconds[_ALL])
