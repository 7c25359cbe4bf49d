"""BPF programs: loading an object file, and inspecting or running a program in the kernel."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from ctypes import byref, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from director.engines.ebpf.libbpf import BpfError, PrintFunction, check, library, print_nothing
from director.engines.ebpf.libbpf.maps import NAME_LENGTH, Map

_MAX_MAPS = 64  # of one program (MAX_USED_MAPS)
_VERIFIER_FRAME = ("--", "processed")  # how lines around the verifier's log begin
_WARNING = 0  # LIBBPF_WARN


class BpfObject:
    """An object file in the kernel: its programs and its maps, by name."""

    def __init__(self, path: Path, sizes: Mapping[str, int], earlier: Mapping[str, Map]) -> None:
        """Load it, with room for `sizes` entries in these maps; the maps in `earlier` are reused.

        Raises BpfError.
        """
        self._warnings: list[str] = []
        self._lib = library()
        self._object = c_void_p()
        print_function = PrintFunction(self._print)
        self._lib.libbpf_set_print(print_function)
        try:
            self._load(path, sizes, earlier)
        finally:
            self._lib.libbpf_set_print(print_nothing)

    def _print(self, level: int, text: bytes, arguments: Any) -> int:
        if level == _WARNING:
            line = ctypes.create_string_buffer(4096)
            ctypes.CDLL(None).vsnprintf(line, c_size_t(len(line)), text, c_void_p(arguments))
            self._warnings.append(line.value.decode(errors="replace"))
        return 0

    def _load(self, path: Path, sizes: Mapping[str, int], earlier: Mapping[str, Map]) -> None:
        self._object = c_void_p(self._lib.bpf_object__open_file(str(path).encode(), None))
        if not self._object:
            raise BpfError(f"{path} can't be read")
        for name, size in sizes.items():
            self._lib.bpf_map__set_max_entries(self._find_map(name), c_uint32(size))
        for name, found in earlier.items():
            ours = self._lib.bpf_object__find_map_by_name(self._object, name.encode())
            if not ours or self._lib.bpf_map__reuse_fd(c_void_p(ours), found.fd):
                raise BpfError(f"map {name} has another layout")
        if self._lib.bpf_object__load(self._object):
            raise BpfError(self._reason())

    def _reason(self) -> str:
        """The last line of the verifier's log or else of libbpf's warnings."""
        lines = [line for text in self._warnings for line in text.splitlines() if line.strip()]
        verifier = [line for line in lines if not line.startswith(_VERIFIER_FRAME) and "libbpf:" not in line]
        return (verifier or lines or ["the kernel gives no reason"])[-1].strip()

    def _find_map(self, name: str) -> c_void_p:
        return c_void_p(self._lib.bpf_object__find_map_by_name(self._object, name.encode()))

    def map(self, name: str) -> Map:
        return Map(os.dup(self._lib.bpf_map__fd(self._find_map(name))))

    def program(self, name: str) -> int:
        """The descriptor of a program; this object closes it."""
        program = self._lib.bpf_object__find_program_by_name(self._object, name.encode())
        return int(self._lib.bpf_program__fd(c_void_p(program)))

    def bind(self, program: str, name: str) -> None:
        """Let a map live as long as a program that does not use it. Raises BpfError."""
        fd = self._lib.bpf_map__fd(self._find_map(name))
        check(self._lib.bpf_prog_bind_map(self.program(program), fd, None), "bpf_prog_bind_map")

    def close(self) -> None:
        if self._object:
            self._lib.bpf_object__close(self._object)
            self._object = c_void_p()


class _ProgInfo(ctypes.Structure):
    """struct bpf_prog_info, up to its name."""

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
        ("name", c_char * NAME_LENGTH),
    )


class RunOptions(ctypes.Structure):
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


def name_and_maps(program_id: int) -> tuple[str, dict[str, Map]]:
    """The name of a loaded program, and the maps that it uses by their names. Raises BpfError."""
    lib = library()
    fd = check(lib.bpf_prog_get_fd_by_id(c_uint32(program_id)), "bpf_prog_get_fd_by_id")
    try:
        ids = (c_uint32 * _MAX_MAPS)()
        info = _ProgInfo(nr_map_ids=_MAX_MAPS, map_ids=ctypes.addressof(ids))
        size = c_uint32(ctypes.sizeof(info))
        check(lib.bpf_obj_get_info_by_fd(fd, byref(info), byref(size)), "bpf_obj_get_info_by_fd")
        maps = [
            Map(check(lib.bpf_map_get_fd_by_id(c_uint32(ids[at])), "bpf_map_get_fd_by_id"))
            for at in range(info.nr_map_ids)
        ]
    finally:
        os.close(fd)
    return info.name.decode(errors="replace"), {found.name: found for found in maps}


def run(program: int, context: bytes = b"") -> tuple[int, bytes]:
    """Run a program of type `syscall` once; returns its return value, and the context that it has changed.

    Raises BpfError.
    """
    options = RunOptions(sz=ctypes.sizeof(RunOptions))
    buffer = ctypes.create_string_buffer(context, len(context))
    if context:
        options.ctx_in, options.ctx_size_in = ctypes.addressof(buffer), len(context)
    check(library().bpf_prog_test_run_opts(program, byref(options)), "bpf_prog_test_run")
    return int(options.retval), buffer.raw
