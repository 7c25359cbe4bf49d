"""The parts of libbpf that the engine uses: the library itself here; maps, programs and tc hooks beside it.

Source: libbpf's headers bpf.h and libbpf.h (version 1).
"""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_int, c_void_p
from ctypes.util import find_library
from functools import cache


class BpfError(Exception):
    """libbpf or the kernel has refused a request; the text is the reason."""


PrintFunction = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
print_nothing = PrintFunction(lambda _level, _format, _arguments: 0)
_RETURN_POINTERS = (
    "bpf_object__open_file",
    "bpf_object__find_map_by_name",
    "bpf_object__find_program_by_name",
)


@cache
def library() -> ctypes.CDLL:
    """libbpf. Raises BpfError if it is missing or too old."""
    name = find_library("bpf")
    if name is None or not name.endswith(".so.1"):
        raise BpfError("libbpf 1 is missing")
    loaded = ctypes.CDLL(name, use_errno=True)
    for function in _RETURN_POINTERS:
        getattr(loaded, function).restype = c_void_p
    loaded.libbpf_set_print(print_nothing)
    return loaded


def possible_cpus() -> int:
    """The number of values that a per-CPU map has for each key."""
    return int(library().libbpf_num_possible_cpus())


def check(result: int, what: str) -> int:
    """Returns `result`; raises BpfError if it is negative: -errno, or -1 with errno set."""
    if result < 0:
        number = -result if result != -1 else ctypes.get_errno()
        raise BpfError(f"{what}: {os.strerror(number)}")
    return result
