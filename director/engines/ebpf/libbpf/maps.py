"""Maps: the tables that programs in the kernel share with processes."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Iterator
from ctypes import byref, c_char, c_uint32, c_uint64
from dataclasses import dataclass
from typing import Any

from director.engines.ebpf.libbpf.library import BpfError, check, library, processors

_ANY = 0  # new or not
_CURSOR = 64  # bytes: as long as the longest key
_BATCH = 4096  # entries that are read at once
NAME = 16  # bytes, as the kernel keeps it


class _MapInfo(ctypes.Structure):
    """struct bpf_map_info, as far as its name."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", c_char * NAME),
    )


@dataclass(slots=True)
class Cursor:
    """Up to where a map has been read; at its beginning when all of it was."""

    place: bytes | None = None


class Map:
    """A map of the kernel's, with keys and values of fixed lengths: bytes, all of them."""

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
        """The value of a key; None if it is not there."""
        return None if self._lookup(self.fd, key, self._value) else self._value.raw

    def per_processor(self, number: int) -> bytes:
        """The values of an array's place, one for each processor, one after the other."""
        values = ctypes.create_string_buffer(self.value_size * processors())
        key = c_uint32(number)
        check(self._lookup(self.fd, byref(key), values), f"map {self.name}")
        return values.raw

    def clear_per_processor(self, number: int) -> None:
        """Zeros for each processor."""
        self.put(number.to_bytes(4, sys.byteorder), bytes(self.value_size * processors()))

    def put(self, key: bytes, value: bytes) -> None:
        """Raises BpfError where it is full."""
        check(library().bpf_map_update_elem(self.fd, key, value, c_uint64(_ANY)), f"map {self.name}")

    def remove(self, key: bytes) -> bool:
        """False where it is not there."""
        return not library().bpf_map_delete_elem(self.fd, key)

    def keys(self) -> Iterator[bytes]:
        """One by one: for maps that can't be read in batches."""
        before: bytes | None = None
        following = ctypes.create_string_buffer(self.key_size)
        while not library().bpf_map_get_next_key(self.fd, before, following):
            before = following.raw
            yield before

    def batches(self, cursor: Cursor | None = None, size: int = _BATCH) -> Iterator[list[Any]]:
        """Lists of (key, value), until all have been read; from a `cursor` on, which moves."""
        cursor = cursor or Cursor()
        keys = ctypes.create_string_buffer(self.key_size * size)
        values = ctypes.create_string_buffer(self.value_size * size)
        following = ctypes.create_string_buffer(_CURSOR)
        while True:
            count = c_uint32(size)
            where = self.fd, cursor.place, following
            failed = library().bpf_map_lookup_batch(*where, keys, values, byref(count), None)
            if failed and ctypes.get_errno() == errno.ENOSPC and size < self.size:  # a bucket has more
                yield from self.batches(cursor, size * 4)
                return
            if failed and ctypes.get_errno() != errno.ENOENT:
                raise BpfError(f"map {self.name}: {os.strerror(ctypes.get_errno())}")
            cursor.place = None if failed else following.raw
            known, found = keys.raw, values.raw
            yield [
                (
                    known[at * self.key_size :][: self.key_size],
                    found[at * self.value_size :][: self.value_size],
                )
                for at in range(count.value)
            ]
            if failed:
                return

    def mapped(self) -> mmap.mmap:
        """All values of an array, one after the other (each 8 bytes, or a multiple of that), as memory."""
        length = self.size * ((self.value_size + 7) // 8 * 8)
        page = mmap.PAGESIZE
        return mmap.mmap(self.fd, (length + page - 1) // page * page)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
