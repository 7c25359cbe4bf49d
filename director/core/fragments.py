"""Fragments of IP packets, put together: only a whole packet shows its ports, and can be decided about.

As in the kernel, they may come in any order and be of any size. Where two overlap, the packet is not
what somebody has sent, and all of it is dropped (RFC 1858, 3128 and 5722; for IPv4 Linux does so, too).
What waits is bounded in time and memory.

Source: RFC 791, section 3.2, for what identifies the packet that a fragment is a part of; RFC 815.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence

from director.core.packet import HEADER, Packet

LATE = "a fragment, and the rest of its packet has not come in time"
_PATIENCE = 30.0  # seconds (Linux: net/ipv4/ipfrag_time)
_ROOM = 4 << 20  # bytes that all fragments may take (Linux: net/ipv4/ipfrag_high_thresh)
_OVERHEAD = 256  # bytes, of one
_LONGEST = 65535  # bytes of a whole packet

Key = tuple[int, str, str, int]


class Reassembly:
    """Fragments until their packet is whole.

    `lost` is called with those that never become one, IP packets in the order of their offsets, and why.
    """

    def __init__(self, lost: Callable[[Sequence[bytes], str], None]) -> None:
        self._lost = lost
        self._waiting: dict[Key, _Parts] = {}  # the oldest first
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that what waits takes."""
        return self._size

    def add(self, fragment: Packet, data: bytes, now: float) -> Sequence[bytes]:
        """All fragments of the packet, in the order of their offsets, when `fragment` was the last to come.

        `data` is the fragment itself, an IP packet.
        """
        ends = fragment.source.address, fragment.destination.address
        key = fragment.protocol, *ends, fragment.identification
        parts = self._waiting.get(key)
        if parts is None:
            parts = self._waiting[key] = _Parts(now + _PATIENCE)
        start = fragment.fragment_offset * 8
        size = fragment.length - HEADER - len(fragment.options)
        if fragment.more_fragments:
            size -= size % 8
        if parts.has(start, start + size):
            self._lost([data], "a fragment that has come before")
            return ()
        wrong = parts.refuse(start, start + size, last=not fragment.more_fragments)
        parts.add(start, start + size, data)
        self._size += len(data) + _OVERHEAD
        if wrong:
            self._give_up(key, wrong)
        elif parts.complete:
            if parts.length <= _LONGEST:
                return self._take(key)
            self._give_up(key, "a fragment of a packet that is longer than one may be")
        while self._size > _ROOM:
            self._give_up(next(iter(self._waiting)), "a fragment, and there is no room for more of them")
        return ()

    def tick(self, now: float) -> None:
        """Give up those that have waited for too long."""
        for key, parts in list(self._waiting.items()):
            if parts.until > now:
                return
            self._give_up(key, LATE)

    def _take(self, key: Key) -> Sequence[bytes]:
        packets = self._waiting.pop(key).packets
        self._size -= sum(len(data) + _OVERHEAD for data in packets)
        return packets

    def _give_up(self, key: Key, why: str) -> None:
        self._lost(self._take(key), why)


class _Parts:
    """What has come of one packet; `until` is when it is given up. No two of them overlap."""

    __slots__ = ("_ends", "_starts", "_sum", "_total", "packets", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.packets: list[bytes] = []
        self._starts: list[int] = []  # bytes, of what follows the IP header
        self._ends: list[int] = []
        self._sum = 0
        self._total = 0  # 0 while it is not known

    @property
    def complete(self) -> bool:
        return self._sum == self._total

    @property
    def length(self) -> int:
        """Of the whole packet, in bytes."""
        return (self.packets[0][0] & 15) * 4 + self._total

    def has(self, start: int, end: int) -> bool:
        """Whether these bytes have come already, in one fragment."""
        before = bisect(self._starts, start) - 1
        return start < end and before >= 0 and self._ends[before] >= end

    def refuse(self, start: int, end: int, *, last: bool) -> str:
        """Why a fragment can't be one of the same packet; nothing if it can."""
        if end <= start:
            return "a fragment without data"
        after = bisect(self._starts, start)
        into_the_next = after < len(self._starts) and self._starts[after] < end
        if into_the_next or (after and self._ends[after - 1] > start):
            return "a fragment that overlaps another one (RFC 5722)"
        reaches = self._ends[-1] if self._ends else 0
        if (self._total and (last or end > self._total)) or (last and end < reaches):
            return "a fragment behind the end of its packet"
        if last:
            self._total = end
        return ""

    def add(self, start: int, end: int, data: bytes) -> None:
        at = bisect(self._starts, start)
        self._starts.insert(at, start)
        self._ends.insert(at, end)
        self.packets.insert(at, data)
        self._sum += end - start
