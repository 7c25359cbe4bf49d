"""What the doctor has read of a lab that runs: values, no opinions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LabState:
    """To be written."""

    lab: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
