"""The library itself, and how it says that something went wrong."""

from __future__ import annotations

import ctypes
import os
from ctypes import c_char_p, c_int, c_void_p
from ctypes.util import find_library
from functools import cache


class BpfError(Exception):
    """What libbpf or the kernel says why something can't be done."""


Print = ctypes.CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
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
    found.libbpf_set_print(silence)
    return found


silence = Print(lambda _level, _text, _arguments: 0)


def processors() -> int:
    """How many values a per-processor map has for each key."""
    return int(library().libbpf_num_possible_cpus())


def check(result: int, what: str) -> int:
    if result < 0:
        number = -result if result != -1 else ctypes.get_errno()
        raise BpfError(f"{what}: {os.strerror(number)}")
    return result
