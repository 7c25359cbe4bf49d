"""Which packets of a flood get in.

No table limits processor time: more SYNs can arrive than there is time to process. packet_sockets.py has one
gate for SYNs, and one for other packets that belong to no connection.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

Stamped = tuple[float, bytes]  # a frame with the time of its arrival in seconds

_IPV6 = b"\x86\xdd"  # EtherType
_ADDRESSES, _ADDRESSES_OF_IPV6, _PORTS = slice(26, 34), slice(22, 54), 4  # of a frame; bytes
_MEMORY = 4.0  # seconds: a SYN is remembered at least that long, at most twice, if there is room
_MEMORY_SIZE = 32768  # SYNs in that time
_QUEUE_LENGTH = 256  # repeated SYNs that wait for a turn


class FloodGate:
    """When more SYNs arrive than there are turns, clients that repeat their SYN get in.

    A flood's SYNs come from forged addresses, one from each. A client's kernel that gets no answer repeats
    its SYN after a second (RFC 6298). So the first SYN of each flow is remembered and dropped; a repeated one
    gets a turn, if need be after a short wait; the remaining turns are drawn among the others. Looking at a
    SYN here costs a few microseconds, forwarding it fifty times as much. The same goes for other packets of
    no connection: a UDP client that gets no answer repeats its request.

    `waiting` are repeated SYNs without a turn yet, the oldest first.
    """

    def __init__(self) -> None:
        self.waiting: list[Stamped] = []
        self._recent: set[bytes] = set()
        self._older: set[bytes] = set()
        self._since = 0.0

    def choose(self, syns: Sequence[Stamped], limit: int) -> Sequence[Stamped]:
        """At most `limit` of `syns` and of those waiting; the others keep waiting or are dropped."""
        if len(self.waiting) + len(syns) <= limit:
            chosen, self.waiting = [*self.waiting, *syns], []
            return chosen
        repeated, new = self._split(syns)
        room = limit + _QUEUE_LENGTH - len(self.waiting)
        queue = self.waiting + (repeated if len(repeated) <= room else random.sample(repeated, room))
        self.waiting = queue[limit:]
        return queue[:limit] + random.sample(new, min(len(new), max(0, limit - len(queue))))

    def _split(self, syns: Sequence[Stamped]) -> tuple[list[Stamped], list[Stamped]]:
        """Repeated SYNs and new ones; the new ones are remembered."""
        repeated: list[Stamped] = []
        new: list[Stamped] = []
        for syn in syns:
            self._forget(syn[0])
            flow = _flow_of(syn[1])
            (repeated if flow in self._recent or flow in self._older else new).append(syn)
            self._recent.add(flow)
        return repeated, new

    def _forget(self, now: float) -> None:
        passed = abs(now - self._since)  # stamps are the time of day, which may be set back
        if passed > _MEMORY or len(self._recent) >= _MEMORY_SIZE:
            keep = passed <= 2 * _MEMORY
            self._older, self._recent, self._since = self._recent if keep else set(), set(), now


def _flow_of(frame: bytes) -> bytes:
    """Addresses and ports; extension headers hide the ports."""
    if frame[12:14] == _IPV6:
        addresses, end = _ADDRESSES_OF_IPV6, _ADDRESSES_OF_IPV6.stop
    else:
        addresses, end = _ADDRESSES, 14 + 4 * (int.from_bytes(frame[14:15], "big") & 15)
    return frame[addresses] + frame[end : end + _PORTS]
