"""Waiting for a state, with a deadline: the only place of the labs that sleeps.

Deadlines are written for an idle machine of ordinary speed and multiplied by how slow this one is at the
moment (labs/machine/load.py). LVS_PATIENCE, a number of 1 or more, replaces what is measured.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TypeVar

from labs.errors import BadRequest, LabError
from labs.machine.load import Pace

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05  # seconds between two looks
_pace = Pace()


def patient(seconds: float) -> float:
    """`seconds` on this machine as it is now. Raises BadRequest for an LVS_PATIENCE that is no factor."""
    return seconds * slowness()


def slowness() -> float:
    """LVS_PATIENCE where it is set, else how many times as long as usual work takes here, at least 1."""
    override = os.environ.get("LVS_PATIENCE")
    if not override:
        return _pace.slowness()
    try:
        factor = float(override)
    except ValueError:
        factor = math.nan
    if not 1 <= factor < math.inf:
        raise BadRequest(f"LVS_PATIENCE={override!r} must be a number of 1 or more: correct it, or unset it.")
    return factor


class Deadline:
    """`seconds` from now; a machine that becomes slower before they have passed gets more of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._slowest = 1.0

    def limit(self) -> float:
        """The seconds that are allowed in all, as of now."""
        self._slowest = max(self._slowest, slowness())
        return self._seconds * self._slowest

    def has_passed(self) -> bool:
        passed = time.monotonic() - self._began
        return passed > self._seconds and passed > self.limit()  # fast machines need no measurement


def poll_until(look: Callable[[], T], good: Callable[[T], object], seconds: float) -> T:
    """Call `look` until `good` likes what it returns or `patient(seconds)` have passed; the last look."""
    return _look(look, good, Deadline(seconds))


def _look(look: Callable[[], T], good: Callable[[T], object], deadline: Deadline) -> T:
    pause = _FIRST_PAUSE
    while True:
        seen = look()
        if good(seen) or deadline.has_passed():
            return seen
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def wait_for(look: Callable[[], T], seconds: float, what: str, failure: type[LabError]) -> T:
    """Call `look` until it returns something true, and return that.

    Raises `failure`, naming `what`, when `patient(seconds)` have passed.
    """
    deadline = Deadline(seconds)
    seen = _look(look, bool, deadline)
    if not seen:
        raise failure(
            f"Timed out after {deadline.limit():.3g} s waiting for {what}: see logs/ in the run's folder."
        )
    return seen
