"""When the program walks through its table, to end the connections whose time has come.

Over is over, swept or not; but servers' counts and the room in the table wait for it. A walk looks at
every place of a large table, so it is made when one of its connections may have ended, and not so often
that much of the time would go into it.
"""

from __future__ import annotations

from collections.abc import Callable

from director.core.states import State, Timeouts
from director.engines.ebpf.clock import NANO, KernelClock
from director.engines.ebpf.settings import Totals

_LEISURE = 100  # times as long as a walk has taken passes before the next


class Sweeper:
    def __init__(self, walk: Callable[[], None], totals: Totals, clock: KernelClock) -> None:
        self._walk = walk
        self._totals = totals
        self._clock = clock
        self._began = self._next = 0  # nanoseconds

    def sweep(self) -> None:
        self._began = self._now()
        self._walk()
        now = self._now()
        self._next = now + _LEISURE * (now - self._began)

    def sweep_if_due(self, timeouts: Timeouts) -> None:
        """What has come, or has changed its state, since the last time has at least the shortest of these."""
        shortest = min(seconds for state, seconds in timeouts.by_state().items() if state is not State.NONE)
        may_end = min(self._totals.next_expiry, self._began + int(shortest * NANO))
        if self._now() >= max(self._next, may_end):
            self.sweep()

    def _now(self) -> int:
        return self._clock.nanoseconds(self._clock.now())
