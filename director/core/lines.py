"""Reading one direction of a TCP connection line by line, from the segments that pass by.

Only what comes in order is read, each byte once, from the first segment with data on: what is
sent again brings nothing new, and a segment that comes before its time has to come again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from director.core.packet import FIN, SYN, Packet
from director.core.sequence import distance

LONGEST = 512  # bytes of a line that are looked at (RFC 959 knows none that long)
_MODULUS = 1 << 32


class Line(NamedTuple):
    """A line with its end, and the sequence number of its first byte."""

    start: int
    text: bytes


@dataclass(slots=True)
class LineReader:
    """`position` is the sequence number that is read next; `start` that of the `unfinished` line."""

    position: int | None = None
    start: int = 0
    unfinished: bytes = b""

    def read(self, packet: Packet) -> list[Line] | None:
        """The lines that end in this segment; None when something before it is still missing."""
        begin = data_start(packet)
        if self.position is None:
            if not packet.payload:
                return []
            self.position = self.start = begin
        known = distance(begin, self.position)
        if known < 0:
            return None if packet.payload or packet.flags & FIN else []
        return self._lines(self.position, packet.payload[known:])

    def _lines(self, position: int, data: bytes) -> list[Line]:
        lines = []
        while data:
            text, end, data = data.partition(b"\n")
            position = (position + len(text) + len(end)) % _MODULUS
            self.unfinished = (self.unfinished + text + end)[:LONGEST]
            if end:
                lines.append(Line(self.start, self.unfinished))
                self.start, self.unfinished = position, b""
        self.position = position
        return lines


def data_start(packet: Packet) -> int:
    """The sequence number of the first byte of data: a SYN takes a number of its own."""
    return (packet.sequence + (1 if packet.flags & SYN else 0)) % _MODULUS
