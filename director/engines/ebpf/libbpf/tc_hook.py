"""The tc ingress hook of an interface, where our program runs beside those of others."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Iterator
from ctypes import byref, c_int, c_size_t, c_uint32
from itertools import product, starmap
from typing import NamedTuple

from director.engines.ebpf.libbpf import check, library

_INGRESS, _REPLACE = 1, 1  # BPF_TC_INGRESS, BPF_TC_F_REPLACE
_PRIORITIES, _HANDLES = range(1, 5), range(1, 9)  # within a priority, the filter added last runs first


class _TcHook(ctypes.Structure):
    """struct bpf_tc_hook."""

    _fields_ = (("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32))


class _TcOpts(ctypes.Structure):
    """struct bpf_tc_opts."""

    _fields_ = (
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    )


class FilterSlot(NamedTuple):
    """The slot of a filter on an interface."""

    priority: int
    handle: int


class TcHook:
    """clsact's ingress of one interface: every frame that arrives passes its filters."""

    def __init__(self, ifindex: int, priority: int = _PRIORITIES[0]) -> None:
        """Filters run by ascending priority; `attach` tries the slots of `priority` first."""
        self._priority = priority
        self._ours: tuple[FilterSlot, int | None] | None = None  # with the id of our program
        self._hook = _TcHook(ctypes.sizeof(_TcHook), ifindex, _INGRESS, 0)

    @property
    def ifindex(self) -> int:
        """The interface's index; a new interface of the same name has another one."""
        return int(self._hook.ifindex)

    def attach(self, program: int, replace: FilterSlot | None = None) -> None:
        """Attach to a free slot, or to one whose filter an earlier director has left. Raises BpfError."""
        created = library().bpf_tc_hook_create(byref(self._hook))
        if created not in (0, -errno.EEXIST):
            check(created, "clsact")
        failed = 0
        for slot in [replace] if replace else sorted(_slots(), key=self._is_unwanted):
            options = self._options(slot, prog_fd=program, flags=_REPLACE if replace else 0)
            failed = int(library().bpf_tc_attach(byref(self._hook), byref(options)))
            if not failed:
                self._ours = slot, self._program_at(slot)
                return
        check(failed, "clsact")  # other filters have all slots

    def _is_unwanted(self, slot: FilterSlot) -> bool:
        return slot.priority < self._priority

    def attached(self) -> Iterator[tuple[FilterSlot, int]]:
        """The ids of all programs on this hook, ours or not."""
        for slot in _slots():
            program = self._program_at(slot)
            if program is not None:
                yield slot, program

    def _program_at(self, slot: FilterSlot) -> int | None:
        """The id of a program; None if the slot is free."""
        options = self._options(slot)
        failed = library().bpf_tc_query(byref(self._hook), byref(options))
        return None if failed else int(options.prog_id)

    def detach(self) -> None:
        """Detach our program, unless it is gone or another one has its slot."""
        if self._ours is None:
            return
        slot, program = self._ours
        if program is not None and self._program_at(slot) == program:
            options = self._options(slot)
            library().bpf_tc_detach(byref(self._hook), byref(options))
        self._ours = None

    @staticmethod
    def _options(slot: FilterSlot, prog_fd: int = 0, flags: int = 0) -> _TcOpts:
        return _TcOpts(ctypes.sizeof(_TcOpts), prog_fd, flags, 0, slot.handle, slot.priority)


def _slots() -> Iterator[FilterSlot]:
    return starmap(FilterSlot, product(_PRIORITIES, _HANDLES))
