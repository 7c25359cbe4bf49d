"""What the program tells of its connections, as the core's own events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from director.core.events import Trace
from director.core.packet import UDP
from director.core.states import State
from director.engines.ebpf import shapes
from director.engines.ebpf.libbpf import Map, Ring

_NANO = 1e9


class Teller:
    """`spoken` hears of each of the core's own connections (by its key) that both ends have spoken.

    `offset` is how much the core's seconds are ahead of the kernel's.
    """

    def __init__(self, events: Map, trace: Trace, spoken: Callable[[bytes], None], offset: float) -> None:
        self._trace = trace
        self._spoken = spoken
        self._offset = offset
        self._ring = Ring(events, self._heard)

    def fileno(self) -> int:
        return self._ring.fileno()

    def hear(self) -> None:
        """Tell all that has happened."""
        self._ring.consume()

    def _heard(self, record: bytes) -> None:
        when, before, after, key, _, address, port, expires = shapes.HAPPENED.unpack(record)
        protocol, client, vip = shapes.both(key)
        now = when / _NANO + self._offset
        if after & shapes.TOLD:
            if shapes.state_of(after) in (State.ESTABLISHED, State.UDP):
                self._spoken(key)
            if before == after:
                return
        entry = shapes.Entry(expires, after or before, 0, address, port)
        fields: dict[str, Any] = {
            "protocol": "UDP" if protocol == UDP else "TCP",
            "expires": max(0.0, round((expires - when) / _NANO, 3)),
            "state": entry.state.value,
            "client": str(client),
            "vip": str(vip),
            "server": str(entry.end),
        }
        if before == after:
            why = "scheduled by the program in the kernel"
            self._trace.tell("new", now, lambda: {**fields, "why": why})
        elif after:
            was = shapes.state_of(before)
            self._trace.tell("state", now, lambda: {**fields, "before": was.value})
        else:
            self._trace.tell("expired", now, lambda: fields)

    def close(self) -> None:
        self._ring.close()
