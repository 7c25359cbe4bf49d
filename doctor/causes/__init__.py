"""What can be wrong with a lab."""

from __future__ import annotations

from dataclasses import dataclass

from doctor.state import LabState


@dataclass(frozen=True, slots=True)
class Cause:
    """A root cause: where, what shows it, why it breaks this method, and how it is mended."""

    cause: str
    host: str
    evidence: str
    why: str
    repair: str


def diagnose(_state: LabState) -> list[Cause]:
    return []
