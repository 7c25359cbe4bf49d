"""Two clocks: the core's seconds, and the nanoseconds by which the program measures time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class KernelClock:
    """`now` is the core's clock, `offset` how many seconds it is ahead of the kernel's CLOCK_MONOTONIC."""

    now: Callable[[], float]
    offset: float

    def seconds(self, nanoseconds: int) -> float:
        return nanoseconds / NANO + self.offset

    def nanoseconds(self, seconds: float) -> int:
        return max(0, int((seconds - self.offset) * NANO))
