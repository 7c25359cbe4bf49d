"""The captures of a run, followed as tcpdump writes them, like `tail -f`.

The next read completes an unfinished record, and finds new files. When a lab captures more than the view has
time to read, the same stretch of time is skipped in all files (`gaps`). Reading resumes at the end of each
file, which is the end of a record, because tcpdump writes packet by packet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, takewhile
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from labs.run.packet_table import FILE_HEADER, MAGIC, link_type, records

_ETHERNET = 1
_RECORD_HEADER = 16
_CHUNK = 4 * 1024 * 1024  # bytes read from a file at once
_PART = 128 * 1024  # the same before a skip, where only the beginning is needed
_LONGEST = 262_144  # bytes of a record: tcpdump writes none that is longer
MOST_BEHIND = 768 * 1024  # unread bytes in all files, about 4,000 frames, beyond which a live view skips
MOST_HISTORY = 24 * 1024 * 1024  # the same for a page just opened: a lab's checks capture 5 to 20 MB
_SLICE = 150_000  # microseconds of each file that are read before a skip
_TRANSIT = 100_000  # microseconds that a packet takes for all of its hops, with a margin


class Record(NamedTuple):
    """A captured frame: `at` in microseconds since the epoch, the interface, and the bytes."""

    at: int
    interface: str
    ethernet: bool
    raw: bytes


_LOOK_EVERY = 1.0  # seconds between two searches for new files
_in_order = attrgetter("at")


@dataclass(slots=True)
class _Followed:
    """An open file; `left` is what was read beyond the last complete record."""

    file: BinaryIO
    head: bytes = b""
    left: bytes = b""
    damaged: bool = False
    read: int = 0  # bytes

    @property
    def behind(self) -> int:
        return 0 if self.damaged else os.fstat(self.file.fileno()).st_size - self.read


class Captures:
    """All captures of a folder; `damaged` names the files that cannot be read any further."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Followed] = {}
        self._looked = -_LOOK_EVERY
        self.gaps: list[tuple[int, int]] = []  # microseconds: packets first captured in between lack hops
        self.skipped = 0  # bytes since the reader last set it to 0
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

    def new(self, most: int | None = None) -> list[Record]:
        """The complete records that have been written since the last call, in chronological order.

        If there are more than `most` bytes, only the first records; the next call continues at the end.
        """
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._look()
        behind = sum(file.behind for file in self._files.values())
        takes_all = most is None or behind <= most
        chunk = _CHUNK if takes_all else _PART
        whole = [_read(name, file, chunk) for name, file in self._files.items()]
        if takes_all:
            self.taken += behind
            read = [list(records_) for records_ in whole]
        else:
            read = [list(takewhile(_within_slice(), records_)) for records_ in whole]
            self._skip(read, behind)
        return sorted(chain.from_iterable(read), key=_in_order)

    def _look(self) -> None:
        for path in sorted(self._folder.glob("*.pcap")):
            if path.stem not in self._files:
                with suppress(OSError):  # another user's
                    self._files[path.stem] = _Followed(path.open("rb"))

    def _skip(self, read: list[list[Record]], behind: int) -> None:
        """Skip to the end of every file, after `read` was taken from the `behind` bytes that were unread."""
        now = _now()
        taken = sum(_RECORD_HEADER + len(record.raw) for part in read for record in part)
        self.taken += taken
        self.skipped += behind - taken
        first = min((part[0].at for part in read if part), default=now)
        for file in self._files.values():
            if not file.damaged and file.head:
                file.read, file.left = file.file.seek(0, os.SEEK_END), b""
        self.gaps.append((first + _SLICE - _TRANSIT, now + _TRANSIT))


def _within_slice() -> Callable[[Record], bool]:
    """A test for records within the slice that begins with the first record tested."""
    ends: list[int] = []

    def is_within(record: Record) -> bool:
        if not ends:
            ends.append(record.at + _SLICE)
        return record.at < ends[0]

    return is_within


def _now() -> int:
    """In microseconds since the epoch."""
    return round(time.time() * 1e6)


def _read(name: str, file: _Followed, size: int) -> Iterator[Record]:
    """Complete records up to the end of the file, which is read `size` bytes at a time."""
    if file.damaged:
        return
    try:
        while chunk := file.file.read(size):
            file.read += len(chunk)
            yield from _complete(name, file, chunk)
    except OSError:
        return  # a failing disk: keep what was read


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
