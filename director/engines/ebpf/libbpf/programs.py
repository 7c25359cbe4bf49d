"""Programs that are in the kernel: their maps, and how one is run by hand."""

from __future__ import annotations

import ctypes
import os
from ctypes import byref, c_char, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p

from director.engines.ebpf.libbpf.library import check, library
from director.engines.ebpf.libbpf.maps import NAME, Map

_NO_MAPS_MAX = 64  # of one program


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
        ("name", c_char * NAME),
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
    """What a loaded program is called, and the maps that it uses, by name. Raises BpfError."""
    lib = library()
    fd = check(lib.bpf_prog_get_fd_by_id(c_uint32(program_id)), "bpf_prog_get_fd_by_id")
    try:
        ids = (c_uint32 * _NO_MAPS_MAX)()
        info = _ProgInfo(nr_map_ids=_NO_MAPS_MAX, map_ids=ctypes.addressof(ids))
        size = c_uint32(ctypes.sizeof(info))
        check(lib.bpf_obj_get_info_by_fd(fd, byref(info), byref(size)), "bpf_obj_get_info_by_fd")
        found = [
            Map(check(lib.bpf_map_get_fd_by_id(c_uint32(ids[at])), "bpf_map_get_fd_by_id"))
            for at in range(info.nr_map_ids)
        ]
    finally:
        os.close(fd)
    return info.name.decode(errors="replace"), {one.name: one for one in found}


def run(program: int, context: bytes = b"") -> tuple[int, bytes]:
    """Run a program once, now, in this process's time: one of the type `syscall`. Raises BpfError.

    What it returns, and what has become of the bytes that it was given.
    """
    options = RunOptions(sz=ctypes.sizeof(RunOptions))
    given = ctypes.create_string_buffer(context, len(context))
    if context:
        options.ctx_in, options.ctx_size_in = ctypes.addressof(given), len(context)
    check(library().bpf_prog_test_run_opts(program, byref(options)), "bpf_prog_test_run")
    return int(options.retval), given.raw
