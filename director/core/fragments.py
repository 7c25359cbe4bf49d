"""Reassembly of IP fragments: only a complete packet shows its ports, which decisions need.

As in the kernel, fragments may come in any order and be of any size. If two overlap, the whole packet is
dropped (RFC 1858, 3128 and 5722; Linux does so for IPv4, too). Time and memory of waiting fragments are
bounded.

Source: RFC 791, 3.2, and RFC 8200, 4.5, for what identifies the packet of a fragment; RFC 815.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Sequence

from director.core.family import IPV4, IPV6
from director.core.packet import Packet

TIMED_OUT = "fragment: the rest of its packet did not arrive in time"
_TIMEOUT = 30.0  # seconds (Linux: net/ipv4/ipfrag_time)
_MAX_MEMORY = 4 << 20  # bytes of all waiting fragments (Linux: net/ipv4/ipfrag_high_thresh)
_OVERHEAD = 256  # bytes per fragment
_MAX_LENGTH = 65535  # bytes of a complete packet ...
_NOT_COUNTED = {IPV4: 0, IPV6: IPV6.header + 8}  # ... without these headers: IPv6's own, and the fragment's

Key = tuple[int, str, str, int]


class Reassembly:
    """Holds fragments until their packet is complete.

    `lost` is called with fragments whose packet will never be complete, as IP packets in the order of their
    offsets, and the reason.
    """

    def __init__(self, lost: Callable[[Sequence[bytes], str], None]) -> None:
        self._lost = lost
        self._queues: dict[Key, _Queue] = {}  # the oldest first
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that waiting fragments take."""
        return self._size

    def add(self, fragment: Packet, data: bytes, now: float) -> Sequence[bytes]:
        """All fragments of the packet, in the order of their offsets, if `fragment` completes it; else none.

        `data` is the fragment itself, an IP packet.
        """
        family = fragment.family
        addresses = fragment.source.address, fragment.destination.address
        key = fragment.protocol if family is IPV4 else 0, *addresses, fragment.identification
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(now + _TIMEOUT)
        start, header = fragment.fragment_offset * 8, fragment.header
        size = fragment.length - header
        ragged = size % 8 if fragment.more_fragments else 0
        if family is IPV4:
            size -= ragged
        if queue.has(start, start + size):
            self._lost([data], "fragment: duplicate")
            return ()
        error = queue.check(start, start + size, last=not fragment.more_fragments)
        if ragged and family is IPV6:
            error = "fragment: not the last, and its length is not a multiple of 8 (RFC 8200, 4.5)"
        if not start:
            queue.header = header - _NOT_COUNTED[family]
        queue.add(start, start + size, data)
        self._size += len(data) + _OVERHEAD
        if error:
            self._give_up(key, error)
        elif queue.complete:
            if queue.length <= _MAX_LENGTH:
                return self._take(key)
            self._give_up(key, "fragment: its packet would be longer than 65535 bytes")
        while self._size > _MAX_MEMORY:
            self._give_up(next(iter(self._queues)), "fragment: too many are waiting")
        return ()

    def tick(self, now: float) -> None:
        """Give up the fragments that have waited too long."""
        for key, queue in list(self._queues.items()):
            if queue.until > now:
                return
            self._give_up(key, TIMED_OUT)

    def _take(self, key: Key) -> Sequence[bytes]:
        packets = self._queues.pop(key).packets
        self._size -= sum(len(data) + _OVERHEAD for data in packets)
        return packets

    def _give_up(self, key: Key, reason: str) -> None:
        self._lost(self._take(key), reason)


class _Queue:
    """The fragments of one packet, given up at `until`. No two of them overlap.

    `header` is the part of its length that is not data of the fragments, in bytes.
    """

    __slots__ = ("_ends", "_received", "_starts", "_total", "header", "packets", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.header = 0
        self.packets: list[bytes] = []
        self._starts: list[int] = []  # bytes after the IP header
        self._ends: list[int] = []
        self._received = 0
        self._total = 0  # 0 until the last fragment has come

    @property
    def complete(self) -> bool:
        return self._received == self._total

    @property
    def length(self) -> int:
        """The length of the complete packet, in bytes."""
        return self.header + self._total

    def has(self, start: int, end: int) -> bool:
        """Whether these bytes have already come, in one fragment."""
        before = bisect(self._starts, start) - 1
        return start < end and before >= 0 and self._ends[before] >= end

    def check(self, start: int, end: int, *, last: bool) -> str:
        """Why a fragment can't belong to this packet; empty if it can."""
        if end <= start:
            return "fragment: no data"
        after = bisect(self._starts, start)
        overlaps_next = after < len(self._starts) and self._starts[after] < end
        if overlaps_next or (after and self._ends[after - 1] > start):
            return "fragment: overlaps another one (RFC 5722)"
        reached = self._ends[-1] if self._ends else 0
        if (self._total and (last or end > self._total)) or (last and end < reached):
            return "fragment: beyond the end of its packet"
        if last:
            self._total = end
        return ""

    def add(self, start: int, end: int, data: bytes) -> None:
        index = bisect(self._starts, start)
        self._starts.insert(index, start)
        self._ends.insert(index, end)
        self.packets.insert(index, data)
        self._received += end - start
