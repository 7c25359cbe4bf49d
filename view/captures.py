"""The captures of a run, read to their ends, and further as tcpdump writes on.

A record that is not complete yet is read the next time, and a file that appears later is found then.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from labs.run.packet_table import FILE_HEADER, MAGIC, link_type, records

_ETHERNET = 1
_CHUNK = 4 * 1024 * 1024  # bytes read of a file at once
_LONGEST = 262_144  # bytes of a record: a longer one is not of tcpdump


class Record(NamedTuple):
    """A captured frame: when, in microseconds since the epoch, where, and its bytes."""

    at: int
    interface: str
    ethernet: bool
    raw: bytes


_LOOK_EVERY = 1.0  # seconds between two looks for further files


@dataclass(slots=True)
class _Followed:
    """One file, kept open; `left` is what was read beyond the last complete record."""

    file: BinaryIO
    head: bytes = b""
    left: bytes = b""
    damaged: bool = False


class Captures:
    """All files of a folder; `damaged` has the names of those that stop making sense."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, _Followed] = {}
        self._looked = -_LOOK_EVERY

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

    def new(self) -> list[Record]:
        """The complete records that have been written since the last call, in the order of their times."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            self._look()
        found = [record for name, file in self._files.items() for record in _read(name, file)]
        found.sort(key=lambda record: record.at)
        return found

    def _look(self) -> None:
        for path in sorted(self._folder.glob("*.pcap")):
            if path.stem not in self._files:
                with suppress(OSError):  # not ours to read
                    self._files[path.stem] = _Followed(path.open("rb"))


def _read(name: str, file: _Followed) -> Iterator[Record]:
    if file.damaged:
        return
    try:
        while chunk := file.file.read(_CHUNK):
            yield from _complete(name, file, chunk)
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
