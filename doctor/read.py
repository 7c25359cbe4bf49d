"""Read the state of a lab that runs."""

from __future__ import annotations

from doctor.state import LabState
from labs.running import Running


def read(running: Running) -> LabState:
    return LabState(running.plan.lab)
