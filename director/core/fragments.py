"""Fragments of an IP packet: only the first has the ports, the others follow it by memory.

Source: RFC 791, section 3.2, for what identifies the packet that a fragment is a part of.
"""

from __future__ import annotations

from dataclasses import replace

from director.core.decision import Forward
from director.core.packet import Endpoint, Packet

_MOST = 1024  # packets whose fragments are on the way at one time
_LIFETIME = 30.0  # seconds

Key = tuple[int, str, str, int]


class Fragments:
    """What was decided about the first fragments that came last."""

    def __init__(self) -> None:
        self._decided: dict[Key, tuple[float, Forward]] = {}  # the oldest first

    def remember(self, first: Packet, forward: Forward, now: float) -> None:
        key = _key(first)
        self._decided.pop(key, None)
        if len(self._decided) >= _MOST:
            del self._decided[next(iter(self._decided))]
        self._decided[key] = now + _LIFETIME, forward

    def follow(self, later: Packet, now: float) -> Forward | None:
        """The way of a later fragment: that of its first, but it has no ports and no TCP header."""
        ends, forward = self._decided.get(_key(later), (now, None))
        if forward is None or ends <= now:
            return None
        return replace(
            forward,
            source=Endpoint(forward.source.address, 0),
            destination=Endpoint(forward.destination.address, 0),
            reasons=("a fragment of a packet of a known connection",),
            sequence_delta=0,
            acknowledgement_delta=0,
            payload=None,
        )


def _key(packet: Packet) -> Key:
    return packet.protocol, packet.source.address, packet.destination.address, packet.identification
