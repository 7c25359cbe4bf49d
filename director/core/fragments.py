"""Fragments of an IP packet: only the first has the ports, the others follow it by memory.

Source: RFC 791, section 3.2, for what identifies the packet that a fragment is a part of.
"""

from __future__ import annotations

from dataclasses import replace

from director.core.decision import Answer, Decision, Drop, Forward
from director.core.packet import Endpoint, Packet

_MOST = 1024  # packets whose fragments are on the way at one time
_LIFETIME = 30.0  # seconds

Key = tuple[int, str, str, int]


class Fragments:
    """What was decided about the first fragments that came last."""

    def __init__(self) -> None:
        self._decided: dict[Key, tuple[float, Decision]] = {}  # the oldest first

    def remember(self, first: Packet, decision: Decision, now: float) -> None:
        key = key_of(first)
        self._decided.pop(key, None)
        if len(self._decided) >= _MOST:
            del self._decided[next(iter(self._decided))]
        self._decided[key] = now + _LIFETIME, decision

    def follow(self, later: Packet, now: float) -> Decision | None:
        """The way of a later fragment: that of its first, but it has no ports and no TCP header."""
        ends, decision = self._decided.get(key_of(later), (now, None))
        if decision is None or ends <= now:
            return None
        if isinstance(decision, Answer | Drop):
            return Drop(("a fragment, and the first of its packet was refused",))
        if not isinstance(decision, Forward):
            return decision
        return replace(
            decision,
            source=Endpoint(decision.source.address, 0),
            destination=Endpoint(decision.destination.address, 0),
            reasons=("a fragment of a packet of a known connection",),
            sequence_delta=0,
            acknowledgement_delta=0,
            payload=None,
        )


def key_of(packet: Packet) -> Key:
    """Which packet a fragment is a part of."""
    return packet.protocol, packet.source.address, packet.destination.address, packet.identification
