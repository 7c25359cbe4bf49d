"""What the core has read in ftp's control connections, in a table: the next director reads on from there.

An entry is written before the packet is sent on that has changed it, so that no number is known to a
client and to no director.
"""

from __future__ import annotations

from contextlib import suppress
from struct import Struct

from director.core.ftp import Session
from director.core.tcp_stream import LONGEST, REMEMBERED, Edit, Edits, LineReader
from director.engines.ebpf.libbpf.library import BpfError
from director.engines.ebpf.libbpf.maps import Map

_READER = Struct(
    f"=?IIH{LONGEST}s"
)  # whether anything was read, position, start, what is unfinished: length, text
_EDIT = Struct("=IHB23s")  # start, length, and the six numbers that it became: length, text
_REST = Struct("=?IiB")  # whether anything was sent, up to where; growth, number of edits
SIZE = 2 * _READER.size + _REST.size + REMEMBERED * _EDIT.size


class FtpSessions:
    """By the key of the control connection's requests."""

    def __init__(self, entries: Map) -> None:
        self._map = entries

    def keep(self, key: bytes, session: Session) -> None:
        with suppress(BpfError):  # its map is full: the connection lasts as long as this director
            self._map.put(key, packed(session))

    def find(self, key: bytes) -> Session | None:
        value = self._map.get(key)
        return None if value is None else unpacked(value)

    def forget(self, key: bytes) -> None:
        self._map.remove(key)


def packed(session: Session) -> bytes:
    """SIZE bytes."""
    edits = session.edits
    whole = b"".join(
        (
            *map(_pack_reader, (session.commands, session.replies)),
            _REST.pack(session.sent is not None, session.sent or 0, edits.settled, len(edits.remembered)),
            *(_EDIT.pack(edit.start, edit.length, len(edit.text), edit.text) for edit in edits.remembered),
        )
    )
    return whole.ljust(SIZE, b"\0")


def unpacked(value: bytes) -> Session:
    commands, replies = (_unpack_reader(value, at) for at in (0, _READER.size))
    at = 2 * _READER.size
    begun, sent, settled, count = _REST.unpack_from(value, at)
    edits = Edits(settled=settled)
    for number in range(count):
        start, length, size, text = _EDIT.unpack_from(value, at + _REST.size + number * _EDIT.size)
        edits.remembered.append(Edit(start, length, text[:size]))
    return Session(commands, replies, edits, sent if begun else None)


def _pack_reader(reader: LineReader) -> bytes:
    text = reader.unfinished
    return _READER.pack(reader.position is not None, reader.position or 0, reader.start, len(text), text)


def _unpack_reader(value: bytes, at: int) -> LineReader:
    begun, position, start, size, text = _READER.unpack_from(value, at)
    return LineReader(position if begun else None, start, text[:size])
