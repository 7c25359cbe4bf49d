"""What happened in the director, for whoever keeps a trace of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from director.core.decision import Drop, Reject
from director.core.packet import Packet


@dataclass(frozen=True, slots=True)
class Event:
    """What happened; `time` in the caller's seconds.

    `kind`: rules, new, state, expired, evicted, dropped, rejected, shed or failed.
    """

    kind: str
    time: float
    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "time": self.time, **self.data}


class Trace:
    """Tells `listener` what happens; with none, nothing is put into words that nobody hears."""

    def __init__(self, listener: Callable[[Event], None] | None) -> None:
        self._listener = listener

    @property
    def enabled(self) -> bool:
        """Whether anybody listens."""
        return self._listener is not None

    def emit(self, kind: str, now: float, data: Callable[[], Mapping[str, Any]]) -> None:
        if self._listener is not None:
            self._listener(Event(kind, now, data()))

    def drop(self, packet: Packet, now: float, reason: str) -> Drop:
        """The decision to drop a packet, which has been told."""
        self._refuse("dropped", packet, now, (reason,))
        return Drop((reason,))

    def reject(self, packet: Packet, now: float, answer: Reject) -> Reject:
        """`answer`, which has been told."""
        self._refuse("rejected", packet, now, answer.reasons)
        return answer

    def _refuse(self, kind: str, packet: Packet, now: float, reasons: tuple[str, ...]) -> None:
        ends = {"source": str(packet.source), "destination": str(packet.destination)}
        self.emit(kind, now, lambda: {**ends, "why": "; ".join(reasons)})
