"""When things end: timers that a packet touches without cost.

A packet only moves its connection's `expires`. The timer that is set already stays where it is;
when it fires too early, it is set again; one that was given up is left where it is until there
are many of them. Timers wait in one list per second, as in a timing
wheel (Varghese and Lauck 1987), and only those of the second that has begun are sorted.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Generic, Protocol, TypeVar

UNSET = inf
RENEWAL = 60.0  # seconds more for what others depend on
_FEW = 1024  # timers that were given up, and that need not be cleared away
_SHARE = 8  # one in so many of all must not be exceeded by them


class Timed(Protocol):
    """What can end. `scheduled` is the timers' own note of when they will look, UNSET without one.

    `children` is how many others depend on it: while there are any, it does not end.
    """

    expires: float
    scheduled: float
    children: int


Item = TypeVar("Item", bound=Timed)


class Timers(Generic[Item]):
    def __init__(self) -> None:
        self._seconds: dict[int, list[Item]] = {}
        self._order: list[int] = []  # a heap of the keys of _seconds
        self._due: list[tuple[float, int, Item]] = []  # a heap of what ends in seconds that have begun
        self._serial = count()
        self._waiting = self._given_up = 0  # timers in _seconds

    def refresh(self, item: Item, expires: float) -> None:
        """Let `item` live until `expires`."""
        item.expires = expires
        if expires < item.scheduled:
            self._set(item)

    def cancel(self, item: Item) -> None:
        """Whatever timer `item` has, it will not fire."""
        self._give_up(item)

    def expired(self, now: float) -> Iterator[Item]:
        """Yield everything whose time has come; it has no timer any more."""
        while self._order and self._order[0] <= now:
            self._begin(heappop(self._order))
        while self._due and self._due[0][0] <= now:
            when, _, item = heappop(self._due)
            if item.scheduled != when:
                continue  # forgotten, or another timer is set
            if item.expires <= now and item.children:
                item.expires = now + RENEWAL
            item.scheduled = UNSET
            if item.expires > now:
                self._set(item)
            else:
                yield item

    def _give_up(self, item: Item) -> None:
        """Its timer stays behind, and holds on to it; so many are worth a sweep."""
        if item.scheduled != UNSET:
            item.scheduled = UNSET
            self._given_up += 1
            if self._given_up > max(_FEW, self._waiting // _SHARE):
                self._sweep()

    def _sweep(self) -> None:
        for second, items in self._seconds.items():
            items[:] = [item for item in items if second <= item.scheduled < second + 1]
        self._waiting = sum(map(len, self._seconds.values()))
        self._given_up = 0

    def _set(self, item: Item) -> None:
        self._give_up(item)
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
