"""Who gets in when more SYNs come than there are turns for: those who ask again.

A flood's SYNs come from invented addresses, each of them once. A client's kernel that has got no answer
sends the same SYN again after a second (RFC 6298). So the first of each is remembered and dropped; one that
was seen before gets a turn, if need be after a short wait; turns that are left over are drawn among the
others. To look at a SYN costs a few microseconds here, to forward it fifty times as much.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

_ENDS = slice(26, 38)  # of a frame without IP options: addresses and ports
_MEMORY = 4.0  # seconds: for twice as long at most, and for once as long at least, if there is room
_ROOM = 32768  # SYNs in that time
_PLACES = 256  # for those that wait

Stamped = tuple[float, bytes]  # when a frame came in, in seconds; and the frame


class Gate:
    """`waiting` are those that have asked again and had no turn yet, the oldest first."""

    def __init__(self) -> None:
        self.waiting: list[Stamped] = []
        self._seen: set[bytes] = set()
        self._before: set[bytes] = set()
        self._since = 0.0

    def choose(self, syns: Sequence[Stamped], most: int) -> Sequence[Stamped]:
        """At most so many of these and of those that wait; the rest, but for who waits now, is dropped."""
        if len(self.waiting) + len(syns) <= most:
            chosen, self.waiting = [*self.waiting, *syns], []
            return chosen
        again, new = self._told_apart(syns)
        room = most + _PLACES - len(self.waiting)
        queue = self.waiting + (again if len(again) <= room else random.sample(again, room))
        self.waiting = queue[most:]
        return queue[:most] + random.sample(new, min(len(new), max(0, most - len(queue))))

    def _told_apart(self, syns: Sequence[Stamped]) -> tuple[list[Stamped], list[Stamped]]:
        """Those that were seen before, and the others, which are remembered."""
        again: list[Stamped] = []
        new: list[Stamped] = []
        for syn in syns:
            self._forget(syn[0])
            ends = syn[1][_ENDS]
            (again if ends in self._seen or ends in self._before else new).append(syn)
            self._seen.add(ends)
        return again, new

    def _forget(self, now: float) -> None:
        if now - self._since > _MEMORY or len(self._seen) >= _ROOM:
            recent = now - self._since <= 2 * _MEMORY
            self._before, self._seen, self._since = self._seen if recent else set(), set(), now
