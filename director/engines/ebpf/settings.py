"""The numbers that the program goes by, in memory that it shares with this process."""

from __future__ import annotations

import mmap
from struct import Struct

from director.core.states import (
    ACTIVE,
    EVENTS,
    SECURE_TCP_TRANSITIONS,
    TCP_TRANSITIONS,
    Direction,
    State,
    Timeouts,
)
from director.engines.ebpf.clock import NANO
from director.engines.ebpf.layouts import STATES

HAS_WILDCARDS, UPCALL_UNSOLICITED, EMIT_EVENTS, CLEAR_DF = 1, 2, 4, 8
UPCALL_NEW, UPCALL_SYN, REDIRECT_PEER, EXPIRE_QUIESCENT = 16, 32, 64, 128
_ROOM = 16  # for states, in a table of the program's
_ROWS = 8  # for events, likewise
_TIMEOUTS = Struct(f"={_ROOM}Q")

_FRESH_UNTIL, _TIMEOUTS_AT = 0, 8
_LIMIT = _TIMEOUTS_AT + _TIMEOUTS.size
_VERSION, _UP, _FLAGS, _REUSE, _ACTIVE, _NEXT = (_LIMIT + 8 + 4 * at for at in range(6))

_LONG, _SIGNED, _WORD = Struct("=Q"), Struct("=q"), Struct("=I")


class Settings:
    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._set(_ACTIVE, sum(1 << at for at, state in enumerate(STATES) if state in ACTIVE))

    def _set(self, place: int, value: int) -> None:
        _WORD.pack_into(self._memory, place, value)

    def _get(self, place: int) -> int:
        return int(_WORD.unpack_from(self._memory, place)[0])

    def set_timeouts(self, timeouts: Timeouts) -> None:
        seconds = timeouts.by_state()
        numbers = [int(seconds[state] * NANO) for state in STATES]
        _TIMEOUTS.pack_into(self._memory, _TIMEOUTS_AT, *numbers, *[0] * (_ROOM - len(STATES)))

    def set_transitions(self, *, secure: bool) -> None:
        """The state table of TCP: the core's own, as a table of bytes."""
        table = SECURE_TCP_TRANSITIONS if secure else TCP_TRANSITIONS
        following = bytearray()
        for view in (Direction.INPUT, Direction.OUTPUT, Direction.INPUT_ONLY):
            for event in EVENTS:
                row = (state if state is State.UDP else table[view, event, state] for state in STATES)
                following += bytes(map(STATES.index, row)).ljust(_ROOM, b"\0")
            following += bytes(_ROOM * (_ROWS - len(EVENTS)))
        self._memory[_NEXT : _NEXT + len(following)] = bytes(following)

    def set_neighbours_valid_until(self, until: int) -> None:
        """For what is known of neighbours, until then (nanoseconds)."""
        _LONG.pack_into(self._memory, _FRESH_UNTIL, until)

    def set_conn_limit(self, connections: int) -> None:
        _LONG.pack_into(self._memory, _LIMIT, connections)

    def set_upcall_interface(self, interface: int) -> None:
        """What is for the core goes to that interface."""
        self._set(_UP, interface)

    def set_flags(self, flags: int) -> None:
        self._set(_FLAGS, flags)

    def set_conn_reuse_mode(self, mode: int) -> None:
        """conn_reuse_mode."""
        self._set(_REUSE, mode)

    def bump_generation(self) -> None:
        """Every connection looks for its way, and its server, anew."""
        self._set(_VERSION, self._get(_VERSION) % (2**32 - 2) + 1)


class Totals:
    """How many connections and templates there are, and how many events nobody has read in time.

    The program and the core count apart: the program adds to its numbers at any time.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    def _get(self, place: int) -> int:
        return int(_SIGNED.unpack_from(self._memory, place)[0])

    @property
    def connections(self) -> int:
        return self._get(0) + self._get(8)

    def add_connections(self, number: int) -> None:
        """The core has put some there, or taken them out."""
        _SIGNED.pack_into(self._memory, 8, self._get(8) + number)

    @property
    def templates(self) -> int:
        return self._get(16)

    @templates.setter
    def templates(self, number: int) -> None:
        _SIGNED.pack_into(self._memory, 16, number)

    @property
    def lost_events(self) -> int:
        return self._get(24)

    @property
    def next_expiry(self) -> int:
        """When the first of those ends that the last sweep has left (nanoseconds), if no packet comes."""
        return int(_LONG.unpack_from(self._memory, 32)[0])
