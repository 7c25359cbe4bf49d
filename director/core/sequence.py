"""TCP sequence numbers after a helper has changed the length of what a real server said.

Source: the idea of Linux's ip_vs_seq: two shifts and the place where the newer one begins.
All arithmetic is modulo 2^32 (RFC 9293, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass

_MODULUS = 1 << 32
_HALF = 1 << 31


def after(one: int, other: int) -> bool:
    """Whether sequence number `one` comes after `other`."""
    return 0 < (one - other) % _MODULUS < _HALF


@dataclass(slots=True)
class Shift:
    """What is added to a real server's sequence numbers: `older` up to `start`, `newer` after it."""

    start: int = 0
    older: int = 0
    newer: int = 0

    def for_sequence(self, sequence: int) -> int:
        """To add to the sequence number of a segment from the real server."""
        return self.newer if after(sequence, self.start) else self.older

    def for_acknowledgement(self, acknowledgement: int) -> int:
        """To add to the client's acknowledgement, so that the real server knows what is meant."""
        return -self.newer if after(acknowledgement, self.start + self.newer) else -self.older

    def changed(self, sequence: int, difference: int) -> None:
        """The segment at `sequence` has grown by `difference` bytes; sent again, it counts once."""
        if self.newer == self.older or after(sequence, self.start):
            self.start, self.older, self.newer = sequence, self.newer, self.newer + difference
