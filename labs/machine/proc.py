"""What the kernel tells of the machine (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")  # a second's
_IDLE = slice(3, 5)  # idle and waiting
_ALL = slice(0, 8)  # the others that follow are contained in these


def memory_available() -> int:
    """Bytes that programs could still have (MemAvailable)."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024


def processor_times() -> tuple[float, float]:
    """Seconds, of all processors together and since some start: idle, and in all."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    seconds = [int(word) / _TICKS for word in words]
    return sum(seconds[_IDLE]), sum(seconds[_ALL])
