"""When the table is walked: when something may have ended, and not all the time."""

from __future__ import annotations

import mmap
from struct import Struct

import pytest

from director.core.states import Timeouts
from director.engines.ebpf.clock import NANO, KernelClock
from director.engines.ebpf.settings import Totals
from director.engines.ebpf.sweeper import Sweeper

TIMEOUTS = Timeouts()  # the shortest but that of NONE: ten seconds


class Program:
    """A walk takes `takes` seconds, and leaves a connection that ends at `leaves`."""

    def __init__(self, takes: float = 0.01) -> None:
        self.time, self.walks = 100.0, 0
        self.takes, self.leaves = takes, 0.0
        self.memory = mmap.mmap(-1, mmap.PAGESIZE)
        clock = KernelClock(lambda: self.time, 0.0)
        self.sweeper = Sweeper(self.walk, Totals(self.memory), clock)

    def walk(self) -> None:
        self.walks += 1
        self.time += self.takes
        left = int(self.leaves * NANO) if self.leaves else 2**64 - 1
        Struct("=Q").pack_into(self.memory, 32, left)

    def walks_until(self, time: float, timeouts: Timeouts = TIMEOUTS) -> int:
        """Asked once a second."""
        before = self.walks
        while self.time < time:
            self.sweeper.sweep_if_due(timeouts)
            self.time += 1
        return self.walks - before


def test_an_empty_table_is_walked_once_in_the_shortest_life() -> None:
    assert Program().walks_until(150) == 5


@pytest.mark.parametrize("leaves", [103.5, 108.0])
def test_what_was_left_is_looked_for_when_its_time_has_come(leaves: float) -> None:
    program = Program()
    program.leaves = leaves
    assert program.walks_until(leaves) == 1
    program.leaves = 0
    assert program.walks_until(leaves + 2) == 1


def test_shorter_lives_count_at_once() -> None:
    program = Program()
    assert program.walks_until(105) == 1
    assert program.walks_until(107, Timeouts(udp=1)) >= 1


def test_a_walk_that_takes_long_is_made_seldom() -> None:
    assert Program(takes=2.0).walks_until(250) == 1
