"""Timers that cost next to nothing per packet.

A packet only moves its connection's `expires`. A timer that is already set stays where it is and is set
again if it fires too early; a cancelled one stays in its list until there are many of them. Timers wait in
one list per second, as in a timing wheel (Varghese and Lauck 1987); only those of the current second are
sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Generic, Protocol, TypeVar

UNSET = inf
RENEWAL = 60.0  # seconds more for an item that others depend on
_SWEEP_MIN = 1024  # cancelled timers, at most, that are not worth a sweep
_SWEEP_SHARE = 8  # sweep when more than one in 8 timers is a cancelled one


class Timed(Protocol):
    """An item that expires. `scheduled` is the time its timer fires, UNSET without a timer.

    `children` is how many others depend on it: while there are any, it does not expire.
    """

    expires: float
    scheduled: float
    children: int


Item = TypeVar("Item", bound=Timed)


class Timers(Generic[Item]):
    def __init__(self) -> None:
        self._seconds: dict[int, list[Item]] = {}
        self._order: list[int] = []  # a heap of the keys of _seconds
        self._due: list[tuple[float, int, Item]] = []  # a heap of the items of seconds that have begun
        self._serial = count()
        self._waiting = self._cancelled = 0  # timers in _seconds

    def refresh(self, item: Item, expires: float) -> None:
        """Let `item` live until `expires`."""
        item.expires = expires
        if expires < item.scheduled:
            self._set(item)

    def cancel(self, item: Item) -> None:
        """The item's timer, if it has one, will not fire; it stays in its list until a sweep."""
        if item.scheduled != UNSET:
            item.scheduled = UNSET
            self._cancelled += 1
            if self._cancelled > max(_SWEEP_MIN, self._waiting // _SWEEP_SHARE):
                self._sweep()

    def expired(self, now: float) -> Iterator[Item]:
        """Yield every item that has expired; its timer is unset."""
        while self._order and self._order[0] <= now:
            self._begin(heappop(self._order))
        while self._due and self._due[0][0] <= now:
            when, _, item = heappop(self._due)
            if item.scheduled != when:
                continue  # cancelled, or another timer is set
            if item.expires <= now and item.children:
                item.expires = now + RENEWAL
            item.scheduled = UNSET
            if item.expires > now:
                self._set(item)
            else:
                yield item

    def _sweep(self) -> None:
        for second, items in self._seconds.items():
            items[:] = [item for item in items if second <= item.scheduled < second + 1]
        self._waiting = sum(map(len, self._seconds.values()))
        self._cancelled = 0

    def _set(self, item: Item) -> None:
        self.cancel(item)
        self._waiting += 1
        item.scheduled = item.expires
        second = int(item.expires)
        waiting = self._seconds.get(second)
        if waiting is None:
            self._seconds[second] = [item]
            heappush(self._order, second)
        else:
            waiting.append(item)

    def _begin(self, second: int) -> None:
        items = self._seconds.pop(second)
        self._waiting -= len(items)
        for item in items:
            if second <= item.scheduled < second + 1:
                heappush(self._due, (item.scheduled, next(self._serial), item))
