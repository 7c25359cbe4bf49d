"""Who gets in when more SYNs come than there are turns for: those who ask again.

A flood's SYNs come from invented addresses, each of them once. A client's kernel that has got no answer
sends the same SYN again after a second (RFC 6298). So the first of each is remembered and dropped, and one
that was seen before gets a turn; turns that are left over are drawn among the others. To look at a SYN
costs a few microseconds here, to forward it fifty times as much.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

_ENDS = slice(26, 38)  # of a frame without IP options: addresses and ports
_MEMORY = 4.0  # seconds: for twice as long at most, and for once as long at least, if there is room
_ROOM = 32768  # SYNs in that time

Stamped = tuple[float, bytes]  # when a frame came in, in seconds; and the frame


class Gate:
    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._before: set[bytes] = set()
        self._since = 0.0

    def choose(self, syns: Sequence[Stamped], most: int) -> Sequence[Stamped]:
        """At most so many of the SYNs; the others are to be dropped."""
        if not syns or len(syns) <= most:
            return syns
        self._forget(syns[-1][0])
        again: list[Stamped] = []
        new: list[Stamped] = []
        for syn in syns:
            ends = syn[1][_ENDS]
            known = ends in self._seen or ends in self._before
            (again if known else new).append(syn)
            self._seen.add(ends)
        if len(again) >= most:
            return random.sample(again, most)
        return again + random.sample(new, most - len(again))

    def _forget(self, now: float) -> None:
        if now - self._since > _MEMORY or len(self._seen) > _ROOM:
            recent = now - self._since <= 2 * _MEMORY
            self._before, self._seen, self._since = self._seen if recent else set(), set(), now
