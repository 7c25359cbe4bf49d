"""Where a program meets frames."""

from __future__ import annotations

import ctypes
import errno
from ctypes import byref, c_int, c_size_t, c_uint32

from director.engines.ebpf.libbpf.library import check, library

_INGRESS, _REPLACE = 1, 1  # enum bpf_tc_attach_point, bpf_tc_flags
_HANDLE = _PRIORITY = 1  # ours, among the filters of an interface


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


class Hook:
    """Where frames come in on one interface: clsact's ingress."""

    def __init__(self, interface: int) -> None:
        self._hook = _TcHook(ctypes.sizeof(_TcHook), interface, _INGRESS, 0)

    def attach(self, program: int) -> None:
        """In place of one that is there already. Raises BpfError."""
        made = library().bpf_tc_hook_create(byref(self._hook))
        if made not in (0, -errno.EEXIST):
            check(made, "clsact")
        options = self._options(prog_fd=program, flags=_REPLACE)
        check(library().bpf_tc_attach(byref(self._hook), byref(options)), "clsact")

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
