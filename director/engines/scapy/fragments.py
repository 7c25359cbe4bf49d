"""What is longer than the wire takes, and may be, is sent in pieces (RFC 791).

They may come in any order: those that come before the first one, which alone shows the ports, wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scapy.packet import Raw

from director.core.fragments import Key
from director.engines.scapy.layers import IP, fragment

_HEADER = 20  # bytes
_ROOM = 4 << 20  # bytes that all early fragments may take (Linux: net/ipv4/ipfrag_high_thresh)
_OVERHEAD = 256  # bytes, of one
_MOST = 128  # fragments of one packet: 64 kB take 45 on Ethernet
_PATIENCE = 30.0  # seconds (Linux: net/ipv4/ipfrag_time)


def pieces(data: bytes, mtu: int) -> Sequence[bytes]:
    """The IP packet `data` as packets of at most `mtu` bytes; it alone where it fits.

    With options, which each piece would have to repeat, it is not taken apart: none fits then.
    """
    if len(data) <= mtu:
        return (data,)
    header = IP(data[:_HEADER])
    if header.ihl * 4 != _HEADER or mtu < _HEADER + 8:
        return ()
    whole = header / Raw(data[_HEADER:])
    return [bytes(piece) for piece in fragment(whole, (mtu - _HEADER) // 8 * 8)]


class Early:
    """Fragments whose first one has not come yet; `lost` is called for each that waits in vain."""

    def __init__(self, lost: Callable[[], None]) -> None:
        self._lost = lost
        self._waiting: dict[Key, tuple[float, list[bytes]]] = {}  # and until when; the oldest first
        self._size = 0

    def keep(self, key: Key, data: bytes, now: float) -> None:
        _, waiting = self._waiting.setdefault(key, (now + _PATIENCE, []))
        if len(waiting) >= _MOST:
            self._lost()
            return
        waiting.append(data)
        self._size += len(data) + _OVERHEAD
        while self._size > _ROOM:
            self._give_up(next(iter(self._waiting)))

    def take(self, key: Key) -> list[bytes]:
        """Those that have waited for the first of their packet."""
        _, waiting = self._waiting.pop(key, (0.0, []))
        self._size -= sum(len(data) + _OVERHEAD for data in waiting)
        return waiting

    def tick(self, now: float) -> None:
        for key, (until, _) in list(self._waiting.items()):
            if until > now:
                return
            self._give_up(key)

    def _give_up(self, key: Key) -> None:
        for _ in self.take(key):
            self._lost()
