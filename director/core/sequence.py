"""TCP sequence numbers after a helper has changed what a real server said.

The director remembers what it replaced and where. From that follow the new sequence number of
every segment, the old number that the client's acknowledgement means, and the new data of a
segment that is sent again, whole or cut in other places. Linux does the same with two shifts
and the place where the newer begins (ip_vs_seq), which a cut inside the change defeats.
All arithmetic is modulo 2^32 (RFC 9293, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

_MODULUS = 1 << 32
_HALF = 1 << 31
REMEMBERED = 4  # changes; the client has long acknowledged an older one


def distance(start: int, end: int) -> int:
    """How far `end` is behind `start`; negative when it is before it."""
    return (end - start + _HALF) % _MODULUS - _HALF


@dataclass(frozen=True, slots=True)
class Edit:
    """`length` bytes from sequence number `start` on have become `text`."""

    start: int
    length: int
    text: bytes

    @property
    def growth(self) -> int:
        return len(self.text) - self.length


@dataclass(slots=True)
class Edits:
    """What was replaced in one direction of a connection, in the order of the sequence numbers.

    `settled` is the growth by edits that are no longer `remembered`.
    """

    remembered: list[Edit] = field(default_factory=list)
    settled: int = 0

    def replace(self, start: int, length: int, text: bytes) -> None:
        """Note a replacement behind all those noted before; `text` is not empty."""
        self.remembered.append(Edit(start, length, text))
        if len(self.remembered) > REMEMBERED:
            self.settled += self.remembered.pop(0).growth

    def for_sequence(self, sequence: int) -> int:
        """What to add to a sequence number of the side that said it."""
        delta = self.settled
        for edit in self.remembered:
            into = distance(edit.start, sequence)
            if into <= 0:
                break
            delta += len(edit.text) - min(into, edit.length)
        return delta

    def for_acknowledgement(self, acknowledgement: int) -> int:
        """What to add to the other side's acknowledgement.

        Somebody who has only a part of a new text has nothing of the old one.
        """
        delta = self.settled
        for edit in self.remembered:
            into = distance(edit.start, acknowledgement - delta)
            if into <= 0:
                break
            if into < len(edit.text):
                return -delta - into
            delta += edit.growth
        return -delta

    def rewritten(self, sequence: int, data: bytes) -> bytes:
        """`data`, which starts at `sequence`, as the other side gets it.

        A new text is in the segment in which the old one starts, however many that spans.
        """
        pieces, done = [], 0
        for edit in self.remembered:
            start = distance(sequence, edit.start)
            end = start + edit.length
            if end <= 0 or start >= len(data):
                continue
            if start >= 0:
                pieces += [data[done:start], edit.text]
            done = min(end, len(data))
        return b"".join([*pieces, data[done:]])
