"""One direction of a TCP connection, from the segments that pass by: its lines read, its text replaced.

Lines are read in order, each byte once, starting with the first segment that has data: retransmissions are
ignored, and a segment that comes too early must be retransmitted.

When a helper has replaced text, sequence numbers shift. The director remembers what it replaced, and where.
From that it computes the new sequence number of every segment, the old number that the client's
acknowledgement means, and the new data of a retransmitted segment, whole or split differently. Linux
does the same with two shifts and the place where the newer begins (ip_vs_seq), which fails for a segment
that ends inside the replaced text. All arithmetic is modulo 2^32 (RFC 9293, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from director.core.packet import FIN, SYN, Packet

MAX_LINE = 512  # bytes of a line that are read (RFC 959 has no line that long)
MAX_EDITS = 4  # remembered; the client has acknowledged older ones long ago
_MODULUS = 1 << 32
_HALF = 1 << 31


def distance(start: int, end: int) -> int:
    """From sequence number `start` to `end`; negative when `end` comes first."""
    return (end - start + _HALF) % _MODULUS - _HALF


def data_start(packet: Packet) -> int:
    """The sequence number of the first byte of data: a SYN takes a number of its own."""
    return (packet.sequence + (1 if packet.flags & SYN else 0)) % _MODULUS


# ---- reading lines ----


class Line(NamedTuple):
    """A line with its end, and the sequence number of its first byte."""

    start: int
    text: bytes


@dataclass(slots=True)
class LineReader:
    """`position` is the sequence number to be read next; `start` that of the `unfinished` line."""

    position: int | None = None
    start: int = 0
    unfinished: bytes = b""

    def read(self, packet: Packet) -> list[Line] | None:
        """The lines that end in this segment; None when something before it is still missing."""
        start = data_start(packet)
        if self.position is None:
            if not packet.payload:
                return []
            self.position = self.start = start
        known = distance(start, self.position)
        if known < 0:
            return None if packet.payload or packet.flags & FIN else []
        return self._lines(self.position, packet.payload[known:])

    def _lines(self, position: int, data: bytes) -> list[Line]:
        lines = []
        while data:
            text, end, data = data.partition(b"\n")
            position = (position + len(text) + len(end)) % _MODULUS
            self.unfinished = (self.unfinished + text + end)[:MAX_LINE]
            if end:
                lines.append(Line(self.start, self.unfinished))
                self.start, self.unfinished = position, b""
        self.position = position
        return lines


# ---- replacing text ----


@dataclass(frozen=True, slots=True)
class Edit:
    """`length` bytes from sequence number `start` on were replaced by `text`."""

    start: int
    length: int
    text: bytes

    @property
    def growth(self) -> int:
        return len(self.text) - self.length


class KnownShift(NamedTuple):
    """What another director has sent about its replacements (ip_vs_seq): neither their text nor their end.

    Sequence numbers up to `start` have grown by `before`, later ones by `growth` more.
    """

    start: int
    before: int
    growth: int


@dataclass(slots=True)
class Edits:
    """The replacements in one direction of a connection, in the order of their sequence numbers.

    `settled` is the growth by edits that are no longer `remembered`. `shift` is what another director sent
    about its own: only `before` of that is in `settled`, and edits come after it.
    """

    remembered: list[Edit] = field(default_factory=list)
    settled: int = 0
    shift: KnownShift | None = None

    def last_shift(self) -> KnownShift | None:
        """What another director gets about the replacements; None if there were none."""
        if not self.remembered:
            return self.shift or (KnownShift(0, self.settled, 0) if self.settled else None)
        last = self.remembered[-1]
        before = self.settled + (self.shift.growth if self.shift else 0)
        before += sum(edit.growth for edit in self.remembered[:-1])
        return KnownShift(last.start, before, last.growth)

    def replace(self, start: int, length: int, text: bytes) -> None:
        """Note a replacement after all earlier ones; `text` is not empty.

        If another director made it before, and the segment is a retransmission, the note replaces its shift.
        """
        if self.shift is not None and distance(start, self.shift.start) >= 0:
            self.shift = None
        self.remembered.append(Edit(start, length, text))
        if len(self.remembered) > MAX_EDITS:
            self.settled += self.remembered.pop(0).growth

    def for_sequence(self, sequence: int) -> int:
        """What to add to a sequence number of the side whose text is replaced."""
        delta = self.settled
        if self.shift is not None and distance(self.shift.start, sequence) > 0:
            delta += self.shift.growth
        for edit in self.remembered:
            into = distance(edit.start, sequence)
            if into <= 0:
                break
            delta += len(edit.text) - min(into, edit.length)
        return delta

    def for_acknowledgement(self, acknowledgement: int) -> int:
        """What to add to the other side's acknowledgement number.

        An acknowledgement of part of the new text acknowledges none of the old text.
        """
        delta = self.settled
        if self.shift is not None:
            if distance(self.shift.start, acknowledgement - delta - self.shift.growth) <= 0:
                return -delta
            delta += self.shift.growth
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

        The new text is in the segment in which the old text starts, even if that spans several segments.
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
