"""BPF maps and ring buffers: memory that programs in the kernel share with processes."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Iterator
from ctypes import byref, c_char, c_uint32, c_uint64
from dataclasses import dataclass
from struct import Struct, iter_unpack
from typing import Any

from director.engines.ebpf.libbpf import BpfError, check, library, possible_cpus

NAME_LENGTH = 16  # BPF_OBJ_NAME_LEN
_BPF_ANY, _BPF_NOEXIST = 0, 1
_CURSOR_LENGTH = 64  # bytes; as long as the longest key
BATCH_SIZE = 4096  # entries per system call
_POSITION, _LENGTH, _RECORD_HEADER = Struct("=Q"), Struct("=I"), 8  # of a ring buffer
_BUSY = 1 << 31  # a bit of a record's length; the program discards none
_MANY = 8  # records, for which it pays to check whether all have one length


class _MapInfo(ctypes.Structure):
    """struct bpf_map_info, up to its name."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", c_char * NAME_LENGTH),
    )


@dataclass(slots=True)
class Cursor:
    """How far a map has been read; None at its beginning, and again after its end.

    `place` is the index of the map, if several are read as one (by_family.py).
    """

    position: bytes | None = None
    place: int = 0


class Map:
    """A map in the kernel; keys and values are bytes of fixed lengths."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        info = _MapInfo()
        size = c_uint32(ctypes.sizeof(info))
        check(library().bpf_obj_get_info_by_fd(fd, byref(info), byref(size)), "bpf_obj_get_info_by_fd")
        self.name: str = info.name.decode()
        self.key_size: int = info.key_size
        self.value_size: int = info.value_size
        self.size: int = info.max_entries
        self._value = ctypes.create_string_buffer(info.value_size)
        self._lookup = library().bpf_map_lookup_elem

    def get(self, key: bytes) -> bytes | None:
        """The value of a key; None if there is none."""
        return None if self._lookup(self.fd, key, self._value) else self._value.raw

    def get_per_cpu(self, index: int) -> bytes:
        """The values at an index of a per-CPU array, one for each processor, concatenated."""
        values = ctypes.create_string_buffer(self.value_size * possible_cpus())
        key = c_uint32(index)
        check(self._lookup(self.fd, byref(key), values), f"map {self.name}")
        return values.raw

    def clear_per_cpu(self, index: int) -> None:
        """Set the values at an index to zero."""
        self.put(index.to_bytes(4, sys.byteorder), bytes(self.value_size * possible_cpus()))

    def put(self, key: bytes, value: bytes) -> None:
        """Raises BpfError if the map is full."""
        check(library().bpf_map_update_elem(self.fd, key, value, c_uint64(_BPF_ANY)), f"map {self.name}")

    def add(self, key: bytes, value: bytes) -> bool:
        """Like `put`, but False if the key exists already."""
        failed = library().bpf_map_update_elem(self.fd, key, value, c_uint64(_BPF_NOEXIST))
        if failed and ctypes.get_errno() == errno.EEXIST:
            return False
        check(failed, f"map {self.name}")
        return True

    def remove(self, key: bytes) -> bool:
        """False if the key does not exist."""
        return not library().bpf_map_delete_elem(self.fd, key)

    def keys(self) -> Iterator[bytes]:
        """All keys, for map types that cannot be read in batches."""
        previous: bytes | None = None
        following = ctypes.create_string_buffer(self.key_size)
        while not library().bpf_map_get_next_key(self.fd, previous, following):
            previous = following.raw
            yield previous

    def batches(self, cursor: Cursor | None = None, size: int = BATCH_SIZE) -> Iterator[list[Any]]:
        """Lists of (key, value) until the end of the map, starting at `cursor`, which moves along."""
        cursor = cursor or Cursor()
        keys = ctypes.create_string_buffer(self.key_size * size)
        values = ctypes.create_string_buffer(self.value_size * size)
        following = ctypes.create_string_buffer(_CURSOR_LENGTH)
        while True:
            count = c_uint32(size)
            where = self.fd, cursor.position, following
            failed = library().bpf_map_lookup_batch(*where, keys, values, byref(count), None)
            if failed and ctypes.get_errno() == errno.ENOSPC and size < self.size:  # a bucket holds more
                yield from self.batches(cursor, size * 4)
                return
            if failed and ctypes.get_errno() != errno.ENOENT:
                raise BpfError(f"map {self.name}: {os.strerror(ctypes.get_errno())}")
            cursor.position = None if failed else following.raw
            all_keys, all_values = keys.raw, values.raw
            yield [
                (
                    all_keys[at * self.key_size :][: self.key_size],
                    all_values[at * self.value_size :][: self.value_size],
                )
                for at in range(count.value)
            ]
            if failed:
                return

    def mapped(self) -> mmap.mmap:
        """All values of an array as memory, each padded to a multiple of 8 bytes."""
        length = self.size * ((self.value_size + 7) // 8 * 8)
        page = mmap.PAGESIZE
        return mmap.mmap(self.fd, (length + page - 1) // page * page)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class RingBuffer:
    """A BPF_MAP_TYPE_RINGBUF, read in its memory (Linux: Documentation/bpf/ringbuf.rst).

    The memory is a page with the reader's position, a page with the kernel's, and the data, mapped twice in a
    row, so that no record is in two pieces.
    """

    def __init__(self, source: Map) -> None:
        self._fd = os.dup(source.fd)
        self._mask = source.size - 1
        self._slot = 0  # bytes of a record with its header and padding
        self._ours = mmap.mmap(self._fd, mmap.PAGESIZE)
        length = mmap.PAGESIZE + 2 * source.size
        self._memory = mmap.mmap(self._fd, length, prot=mmap.PROT_READ, offset=mmap.PAGESIZE)

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[bytes]:
        """All complete records, in their order."""
        memory, mask, first = self._memory, self._mask, mmap.PAGESIZE
        found: list[bytes] = []
        (position,) = _POSITION.unpack_from(self._ours)
        while position != (end := _POSITION.unpack_from(memory)[0]):
            before = position
            equal = self._equal_records(position, end)
            found += equal
            position += len(equal) * self._slot
            while position != end:
                start = first + (position & mask) + _RECORD_HEADER
                (length,) = _LENGTH.unpack_from(memory, start - _RECORD_HEADER)
                if length & _BUSY:  # still being written
                    break
                found.append(memory[start : start + length])
                position += length + _RECORD_HEADER + 7 & ~7
            if position == before:
                break
            _POSITION.pack_into(self._ours, 0, position)
        return found

    def _equal_records(self, position: int, end: int) -> list[bytes]:
        """The records up to `end`, if all are complete and have one length; read without a loop."""
        start = mmap.PAGESIZE + (position & self._mask)
        (length,) = _LENGTH.unpack_from(self._memory, start)
        self._slot = length + _RECORD_HEADER + 7 & ~7
        number, rest = divmod(end - position, self._slot)
        if rest or number < _MANY or length & _BUSY:
            return []
        slots = self._memory[start : start + number * self._slot]
        expected = _LENGTH.pack(length)
        if any(slots[at :: self._slot] != expected[at : at + 1] * number for at in range(len(expected))):
            return []
        padding = self._slot - length - _RECORD_HEADER
        return [data for (data,) in iter_unpack(f"={_RECORD_HEADER}x{length}s{padding}x", slots)]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
