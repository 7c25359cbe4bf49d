"""The captures of a run, read to their ends, and further as tcpdump writes on.

A record that is not complete yet is read the next time, and a file that appears later is found then. Of a
lab that captures more than the view has the time to read, whole stretches are skipped in all files alike
(`gaps`): tcpdump writes packet by packet, so that the end of a file is the end of a record.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from labs.run.packet_table import FILE_HEADER, MAGIC, link_type, records

_ETHERNET = 1
_RECORD_HEADER = 16
_CHUNK = 4 * 1024 * 1024  # bytes read of a file at once
_LONGEST = 262_144  # bytes of a record: a longer one is not of tcpdump
_MOST_BEHIND = 2 * 1024 * 1024  # bytes of all files that a live view may be behind, some 12,000 frames
_SLICE = 384 * 1024  # bytes of each file that it reads before it skips
_ON_THE_WAY = 100_000  # microseconds that a packet takes for all of its hops, with room


class Record(NamedTuple):
    """A captured frame: when, in microseconds since the epoch, where, and its bytes."""

    at: int
    interface: str
    ethernet: bool
    raw: bytes


_LOOK_EVERY = 1.0  # seconds between two looks for further files
_in_order = attrgetter("at")


@dataclass(slots=True)
class _Followed:
    """One file, kept open; `left` is what was read beyond the last complete record."""

    file: BinaryIO
    head: bytes = b""
    left: bytes = b""
    damaged: bool = False
    read: int = 0  # bytes

    @property
    def behind(self) -> int:
        return 0 if self.damaged else os.fstat(self.file.fileno()).st_size - self.read


class Captures:
    """All files of a folder; `damaged` has the names of those that stop making sense."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Followed] = {}
        self._looked = -_LOOK_EVERY
        self.gaps: list[tuple[int, int]] = []  # microseconds: packets that were first seen there lack hops
        self.skipped = 0  # bytes, since somebody has set it to 0
        self.taken = 0  # bytes that were read

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    @property
    def damaged(self) -> list[str]:
        return [name for name, file in self._files.items() if file.damaged]

    @property
    def unfinished(self) -> list[str]:
        """Files that end within a record."""
        return [name for name, file in self._files.items() if file.left and not file.damaged]

    def new(self, *, skip: bool = False) -> list[Record]:
        """The complete records that have been written since the last call, in the order of their times.

        `skip`: where they are too many, only the first of them; the next call goes on at the end.
        """
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._look()
        behind = sum(file.behind for file in self._files.values()) if skip else 0
        most = _SLICE if behind > _MOST_BEHIND else 0
        read = [list(_read(name, file, most)) for name, file in self._files.items()]
        self.taken += sum(_RECORD_HEADER + len(record.raw) for part in read for record in part) if skip else 0
        if most:
            self._skip(read)
        return sorted(chain.from_iterable(read), key=_in_order)

    def _look(self) -> None:
        for path in sorted(self._folder.glob("*.pcap")):
            if path.stem not in self._files:
                with suppress(OSError):  # not ours to read
                    self._files[path.stem] = _Followed(path.open("rb"))

    def _skip(self, read: list[list[Record]]) -> None:
        """To the ends of all files; those that were read to their ends before tell nothing of when."""
        now = _now()
        behind = zip(read, self._files.values(), strict=True)
        last = [part[-1].at if part else now for part, file in behind if file.behind]
        begin = min(last, default=now) - _ON_THE_WAY
        for file in self._files.values():
            if file.damaged or not file.head:
                continue
            end = os.fstat(file.file.fileno()).st_size
            self.skipped += end - file.read
            file.file.seek(end)
            file.read, file.left = end, b""
        self.gaps.append((begin, now + _ON_THE_WAY))


def _now() -> int:
    """In microseconds since the epoch."""
    return round(time.time() * 1e6)


def _read(name: str, file: _Followed, most: int = 0) -> Iterator[Record]:
    """Complete records to the end of the file, or of the next `most` bytes."""
    if file.damaged:
        return
    try:
        while chunk := file.file.read(most or _CHUNK):
            file.read += len(chunk)
            yield from _complete(name, file, chunk)
            if most:
                return
    except OSError:
        return  # a disk that fails: what was read stays


def _complete(name: str, file: _Followed, chunk: bytes) -> Iterator[Record]:
    content = file.left + chunk
    if not file.head:
        if len(content) < FILE_HEADER:
            file.left = content
            return
        file.head, content = content[:FILE_HEADER], content[FILE_HEADER:]
    whole = file.head + content
    ethernet = link_type(file.head) == _ETHERNET
    end = FILE_HEADER
    for at, _, start, captured, _ in records(whole):
        end = start + captured
        yield Record(at, name, ethernet, whole[start:end])
    file.left = whole[end:]
    file.damaged = len(file.left) > _LONGEST or file.head[:4] not in MAGIC
    if file.damaged:
        file.left = b""
