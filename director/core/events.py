"""What happened in the director, for whoever keeps a trace of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is rules, new, state, expired, dropped or answered; `time` in the caller's seconds."""

    kind: str
    time: float
    data: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "time": self.time, **self.data}
