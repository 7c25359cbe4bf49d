"""What happened in the director, for listeners that keep a trace of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from director.core.decision import Drop, Reject
from director.core.packet import Packet


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `time` is in the caller's seconds.

    `kind`: rules, refused, new, state, expired, evicted, dropped, rejected, shed or failed.
    """

    kind: str
    time: float
    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "time": self.time, **self.data}


class Trace:
    """Passes events on to `listener`; without one, no event is built."""

    def __init__(self, listener: Callable[[Event], None] | None) -> None:
        self._listener = listener

    @property
    def enabled(self) -> bool:
        """Whether there is a listener."""
        return self._listener is not None

    def emit(self, kind: str, now: float, data: Callable[[], Mapping[str, Any]]) -> None:
        if self._listener is not None:
            self._listener(Event(kind, now, data()))

    def drop(self, packet: Packet, now: float, reason: str) -> Drop:
        """Emit "dropped" and return the decision to drop the packet."""
        self._emit_refusal("dropped", packet, now, (reason,))
        return Drop((reason,))

    def reject(self, packet: Packet, now: float, rejection: Reject) -> Reject:
        """Emit "rejected" and return `rejection`."""
        self._emit_refusal("rejected", packet, now, rejection.reasons)
        return rejection

    def _emit_refusal(self, kind: str, packet: Packet, now: float, reasons: tuple[str, ...]) -> None:
        endpoints = {"source": str(packet.source), "destination": str(packet.destination)}
        self.emit(kind, now, lambda: {**endpoints, "why": "; ".join(reasons)})
