"""What a student has filled in."""

from __future__ import annotations

from typing import Any

from classroom.guided.answers import NAME, read
from classroom.variants import Variant
from classroom.work import folder_of
from labs.run.running import RunningLab


def answers(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """What the answers file says now: `answers`, by section and label, and `wrong` lines."""
    return read(folder_of(running.evidence) / NAME).as_dict()
