"""What the core changes in an entry that the program may change at the same time: the program does it.

A process can only put back whole values, and would undo what has happened since it read them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from director.engines.ebpf import layouts

_GONE, _DONE = 0, 1  # what the program returns; 2: somebody was quicker


class EntryUpdates(Protocol):
    """What the table asks for."""

    def compare_and_swap(
        self, key: bytes, before: int, after: int, expires: int | None = None, packets: int = 0
    ) -> bool:
        """Another word in place of `before`; False if that is not there any more, and nothing has changed.

        The entry's time changes with it, unless None; of packets, there are at least so many from now on.
        """
        ...

    def remove(self, key: bytes) -> int | None:
        """Take a connection out, by its request's key: its last word; None if somebody has done so."""
        ...


class ProgramUpdates:
    """`run` runs one of the program's parts, by its name, on so many bytes: what it returns, and they."""

    def __init__(self, run: Callable[[str, bytes], tuple[int, bytes]]) -> None:
        self._run = run

    def compare_and_swap(
        self, key: bytes, before: int, after: int, expires: int | None = None, packets: int = 0
    ) -> bool:
        when = layouts.UNCHANGED if expires is None else expires
        done, _ = self._run("compare_and_swap", layouts.UPDATE.pack(key, before, after, when, packets))
        return done == _DONE

    def remove(self, key: bytes) -> int | None:
        done, change = self._run("remove_connection", layouts.UPDATE.pack(key, 0, 0, 0, 0))
        return None if done == _GONE else int(layouts.UPDATE.unpack(change)[2])
