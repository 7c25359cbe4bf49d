"""The parts of libbpf that the engine needs, as Python sees them: loading, maps, clsact.

Source: libbpf's own headers, bpf.h and libbpf.h (version 1). All numbers are errno's where a call fails.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Iterator, Mapping
from ctypes import byref, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from ctypes.util import find_library
from functools import cache
from pathlib import Path
from typing import Any

_INGRESS, _REPLACE = 1, 1  # enum bpf_tc_attach_point, bpf_tc_flags
_HANDLE = _PRIORITY = 1  # ours, among the filters of an interface
_ANY = 0  # new or not
_NO_MAPS_MAX = 64  # of one program
_BATCH = 4096  # entries that are read at once
_NAME = 16  # bytes, as the kernel keeps it
_DUMMY = 64  # bytes of a frame that nobody looks at


class BpfError(Exception):
    """What libbpf or the kernel says why something can't be done."""


class _TcHook(ctypes.Structure):
    _fields_ = (("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32))


class _TcOpts(ctypes.Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    )


class _ProgInfo(ctypes.Structure):
    """struct bpf_prog_info, as far as its maps."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("tag", c_char * 8),
        ("jited_len", c_uint32),
        ("xlated_len", c_uint32),
        ("jited", c_uint64),
        ("xlated", c_uint64),
        ("load_time", c_uint64),
        ("created_by_uid", c_uint32),
        ("nr_map_ids", c_uint32),
        ("map_ids", c_uint64),
        ("name", c_char * _NAME),
    )


class _MapInfo(ctypes.Structure):
    """struct bpf_map_info, as far as its name."""

    _fields_ = (
        ("type", c_uint32),
        ("id", c_uint32),
        ("key_size", c_uint32),
        ("value_size", c_uint32),
        ("max_entries", c_uint32),
        ("map_flags", c_uint32),
        ("name", c_char * _NAME),
    )


class _TestRun(ctypes.Structure):
    """struct bpf_test_run_opts."""

    _fields_ = (
        ("sz", c_size_t),
        ("data_in", c_char_p),
        ("data_out", c_void_p),
        ("data_size_in", c_uint32),
        ("data_size_out", c_uint32),
        ("ctx_in", c_void_p),
        ("ctx_out", c_void_p),
        ("ctx_size_in", c_uint32),
        ("ctx_size_out", c_uint32),
        ("retval", c_uint32),
        ("repeat", c_int),
        ("duration", c_uint32),
        ("flags", c_uint32),
        ("cpu", c_uint32),
        ("batch_size", c_uint32),
    )


_Print = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
_POINTERS = (
    "bpf_object__open_file",
    "bpf_object__find_map_by_name",
    "bpf_object__find_program_by_name",
    "ring_buffer__new",
)


@cache
def library() -> ctypes.CDLL:
    """Raises BpfError where there is none, or an old one."""
    name = find_library("bpf")
    if name is None or not name.endswith(".so.1"):
        raise BpfError("libbpf 1 is missing")
    found = ctypes.CDLL(name, use_errno=True)
    for function in _POINTERS:
        getattr(found, function).restype = c_void_p
    found.libbpf_set_print(_silence)
    return found


_silence = _Print(lambda _level, _text, _arguments: 0)


def processors() -> int:
    """How many values a per-processor map has for each key."""
    return int(library().libbpf_num_possible_cpus())


def _check(result: int, what: str) -> int:
    if result < 0:
        number = -result if result != -1 else ctypes.get_errno()
        raise BpfError(f"{what}: {os.strerror(number)}")
    return result


class Map:
    """A map of the kernel's, with keys and values of fixed lengths: bytes, all of them."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        info = _MapInfo()
        size = c_uint32(ctypes.sizeof(info))
        _check(library().bpf_obj_get_info_by_fd(fd, byref(info), byref(size)), "bpf_obj_get_info_by_fd")
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
        _check(self._lookup(self.fd, byref(key), values), f"map {self.name}")
        return values.raw

    def clear_per_processor(self, number: int) -> None:
        """Zeros for each processor."""
        self.put(number.to_bytes(4, sys.byteorder), bytes(self.value_size * processors()))

    def put(self, key: bytes, value: bytes) -> None:
        """Raises BpfError where it is full."""
        _check(library().bpf_map_update_elem(self.fd, key, value, c_uint64(_ANY)), f"map {self.name}")

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

    def batches(self, cursor: ctypes.Array[c_char] | None = None, size: int = _BATCH) -> Iterator[list[Any]]:
        """Lists of (key, value), until all have been read; a `cursor` of one's own tells where it is."""
        keys = ctypes.create_string_buffer(self.key_size * size)
        values = ctypes.create_string_buffer(self.value_size * size)
        place = cursor if cursor is not None else ctypes.create_string_buffer(max(8, self.key_size))
        before: Any = None
        while True:
            count = c_uint32(size)
            failed = library().bpf_map_lookup_batch(self.fd, before, place, keys, values, byref(count), None)
            if failed and ctypes.get_errno() == errno.ENOSPC and size < self.size:  # a bucket has more
                yield from self.batches(place, size * 4)
                return
            if failed and ctypes.get_errno() != errno.ENOENT:
                raise BpfError(f"map {self.name}: {os.strerror(ctypes.get_errno())}")
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
            before = place

    def mapped(self) -> mmap.mmap:
        """All values of an array, one after the other (each 8 bytes, or a multiple of that), as memory."""
        length = self.size * ((self.value_size + 7) // 8 * 8)
        page = mmap.PAGESIZE
        return mmap.mmap(self.fd, (length + page - 1) // page * page)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Loaded:
    """An object file in the kernel: its programs by name, its maps by name."""

    def __init__(self, path: Path, sizes: Mapping[str, int], earlier: Mapping[str, Map]) -> None:
        """Maps have room for `sizes` entries; those of `earlier` are used again. Raises BpfError."""
        self._said: list[str] = []
        self._lib = library()
        self._object = c_void_p()
        listener = _Print(self._listen)
        self._lib.libbpf_set_print(listener)
        try:
            self._load(path, sizes, earlier)
        finally:
            self._lib.libbpf_set_print(_silence)

    def _listen(self, level: int, text: bytes, arguments: Any) -> int:
        if level == 0:  # a warning; debugging is of no interest
            line = ctypes.create_string_buffer(4096)
            ctypes.CDLL(None).vsnprintf(line, c_size_t(len(line)), text, c_void_p(arguments))
            self._said.append(line.value.decode(errors="replace"))
        return 0

    def _load(self, path: Path, sizes: Mapping[str, int], earlier: Mapping[str, Map]) -> None:
        self._object = c_void_p(self._lib.bpf_object__open_file(str(path).encode(), None))
        if not self._object:
            raise BpfError(f"{path} can't be read")
        for name, size in sizes.items():
            self._lib.bpf_map__set_max_entries(self._find_map(name), c_uint32(size))
        for name, found in earlier.items():
            wanted = self._lib.bpf_object__find_map_by_name(self._object, name.encode())
            if not wanted or self._lib.bpf_map__reuse_fd(c_void_p(wanted), found.fd):
                raise BpfError(f"map {name} has another shape")
        if self._lib.bpf_object__load(self._object):
            raise BpfError(self._why())

    def _why(self) -> str:
        lines = [line for text in self._said for line in text.splitlines() if line.strip()]
        told = [line for line in lines if "libbpf:" not in line and "processed" not in line]
        return (told or lines or ["the kernel gives no reason"])[-1].strip()

    def _find_map(self, name: str) -> c_void_p:
        return c_void_p(self._lib.bpf_object__find_map_by_name(self._object, name.encode()))

    def map(self, name: str) -> Map:
        found = self._find_map(name)
        return Map(os.dup(self._lib.bpf_map__fd(found)))

    def program(self, name: str) -> int:
        """The descriptor of a program; it belongs to this object."""
        found = self._lib.bpf_object__find_program_by_name(self._object, name.encode())
        return int(self._lib.bpf_program__fd(c_void_p(found)))

    def bind(self, program: str, name: str) -> None:
        """Let a map that a program does not use live as long as the program. Raises BpfError."""
        fd = self._lib.bpf_map__fd(self._find_map(name))
        _check(self._lib.bpf_prog_bind_map(self.program(program), fd, None), "bpf_prog_bind_map")

    def close(self) -> None:
        if self._object:
            self._lib.bpf_object__close(self._object)
            self._object = c_void_p()


class Hook:
    """Where frames come in on one interface: clsact's ingress."""

    def __init__(self, interface: int) -> None:
        self._hook = _TcHook(ctypes.sizeof(_TcHook), interface, _INGRESS, 0)

    def attach(self, program: int) -> None:
        """In place of one that is there already. Raises BpfError."""
        made = library().bpf_tc_hook_create(byref(self._hook))
        if made not in (0, -errno.EEXIST):
            _check(made, "clsact")
        options = self._options(prog_fd=program, flags=_REPLACE)
        _check(library().bpf_tc_attach(byref(self._hook), byref(options)), "clsact")

    def attached(self) -> int | None:
        """The id of the program that is there; None if there is none."""
        options = self._options()
        failed = library().bpf_tc_query(byref(self._hook), byref(options))
        return None if failed else int(options.prog_id)

    def detach(self) -> None:
        """Take ours away; no error where it is gone already."""
        options = self._options()
        library().bpf_tc_detach(byref(self._hook), byref(options))

    @staticmethod
    def _options(prog_fd: int = 0, flags: int = 0) -> _TcOpts:
        return _TcOpts(ctypes.sizeof(_TcOpts), prog_fd, flags, 0, _HANDLE, _PRIORITY)


def maps_of(program_id: int) -> dict[str, Map]:
    """The maps that a loaded program uses, by name. Raises BpfError."""
    lib = library()
    fd = _check(lib.bpf_prog_get_fd_by_id(c_uint32(program_id)), "bpf_prog_get_fd_by_id")
    try:
        ids = (c_uint32 * _NO_MAPS_MAX)()
        info = _ProgInfo(nr_map_ids=_NO_MAPS_MAX, map_ids=ctypes.addressof(ids))
        size = c_uint32(ctypes.sizeof(info))
        _check(lib.bpf_obj_get_info_by_fd(fd, byref(info), byref(size)), "bpf_obj_get_info_by_fd")
        found = [
            Map(_check(lib.bpf_map_get_fd_by_id(c_uint32(ids[at])), "bpf_map_get_fd_by_id"))
            for at in range(info.nr_map_ids)
        ]
    finally:
        os.close(fd)
    return {one.name: one for one in found}


def run(program: int) -> None:
    """Run a program once, now, with a frame that nobody looks at."""
    frame = bytes(_DUMMY)
    options = _TestRun(sz=ctypes.sizeof(_TestRun), data_in=frame, data_size_in=len(frame), repeat=1)
    _check(library().bpf_prog_test_run_opts(program, byref(options)), "bpf_prog_test_run")


class Ring:
    """A ring buffer: `listener` is called with each record."""

    def __init__(self, source: Map, listener: Any) -> None:
        def heard(_context: Any, data: int, size: int) -> int:
            listener(ctypes.string_at(data, size))
            return 0

        kind = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)
        self._heard = kind(heard)
        self._ring = c_void_p(library().ring_buffer__new(source.fd, self._heard, None, None))

    def fileno(self) -> int:
        return int(library().ring_buffer__epoll_fd(self._ring))

    def consume(self) -> None:
        library().ring_buffer__consume(self._ring)

    def close(self) -> None:
        if self._ring:
            library().ring_buffer__free(self._ring)
            self._ring = c_void_p()
