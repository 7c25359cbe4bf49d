"""Where a program meets frames: beside those of others, which stay where they are."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_uint32
from itertools import product, starmap
from typing import NamedTuple

from director.engines.ebpf.libbpf.library import check, library

_INGRESS, _REPLACE = 1, 1  # enum bpf_tc_attach_point, bpf_tc_flags
_PRIORITIES, _HANDLES = range(1, 5), range(1, 9)  # of one priority, who comes last is asked first


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


class FilterSlot(NamedTuple):
    """Where a filter is, among those of an interface."""

    priority: int
    handle: int


class TcHook:
    """Where frames come in on one interface: clsact's ingress."""

    def __init__(self, interface: int) -> None:
        self._ours: tuple[FilterSlot, int | None] | None = None  # and the program's id
        self._hook = _TcHook(ctypes.sizeof(_TcHook), interface, _INGRESS, 0)

    def attach(self, program: int, instead: FilterSlot | None = None) -> None:
        """At a place that is free, or that an earlier one of ours has had. Raises BpfError."""
        made = library().bpf_tc_hook_create(byref(self._hook))
        if made not in (0, -errno.EEXIST):
            check(made, "clsact")
        failed = 0
        for place in [instead] if instead else _places():
            options = self._options(place, prog_fd=program, flags=_REPLACE if instead else 0)
            failed = int(library().bpf_tc_attach(byref(self._hook), byref(options)))
            if not failed:
                self._ours = place, self._at(place)
                return
        check(failed, "clsact")  # all of them are others'

    def attached(self) -> Iterator[tuple[FilterSlot, int]]:
        """The programs that are there, anybody's, by their ids."""
        for place in _places():
            found = self._at(place)
            if found is not None:
                yield place, found

    def _at(self, place: FilterSlot) -> int | None:
        """The id of a program; None where there is none."""
        options = self._options(place)
        failed = library().bpf_tc_query(byref(self._hook), byref(options))
        return None if failed else int(options.prog_id)

    def detach(self) -> None:
        """Take ours away; no error where it is gone already, or another one is there."""
        if self._ours is None:
            return
        place, program = self._ours
        if program is not None and self._at(place) == program:
            options = self._options(place)
            library().bpf_tc_detach(byref(self._hook), byref(options))
        self._ours = None

    @staticmethod
    def _options(place: FilterSlot, prog_fd: int = 0, flags: int = 0) -> _TcOpts:
        return _TcOpts(ctypes.sizeof(_TcOpts), prog_fd, flags, 0, place.handle, place.priority)


def _places() -> Iterator[FilterSlot]:
    return starmap(FilterSlot, product(_PRIORITIES, _HANDLES))
