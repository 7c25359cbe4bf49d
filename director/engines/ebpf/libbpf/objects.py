"""Object files: their programs and their maps, in the kernel."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from ctypes import c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any

from director.engines.ebpf.libbpf.library import BpfError, Print, check, library, silence
from director.engines.ebpf.libbpf.maps import Map

_FRAME = ("--", "processed")  # of what the verifier says


class BpfObject:
    """An object file in the kernel: its programs by name, its maps by name."""

    def __init__(self, path: Path, sizes: Mapping[str, int], earlier: Mapping[str, Map]) -> None:
        """Maps have room for `sizes` entries; those of `earlier` are used again. Raises BpfError."""
        self._said: list[str] = []
        self._lib = library()
        self._object = c_void_p()
        listener = Print(self._listen)
        self._lib.libbpf_set_print(listener)
        try:
            self._load(path, sizes, earlier)
        finally:
            self._lib.libbpf_set_print(silence)

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
        told = [line for line in lines if not line.startswith(_FRAME) and "libbpf:" not in line]
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
        check(self._lib.bpf_prog_bind_map(self.program(program), fd, None), "bpf_prog_bind_map")

    def close(self) -> None:
        if self._object:
            self._lib.bpf_object__close(self._object)
            self._object = c_void_p()
