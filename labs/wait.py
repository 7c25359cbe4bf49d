"""Waiting for a state, with a deadline: the only module of the labs that sleeps.

Deadlines are written for an idle machine of ordinary speed, and multiplied by the current slowness of this
machine (labs/machine/load.py). LVS_PATIENCE, a number >= 1, replaces the measured factor.
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

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05  # seconds between two polls
_pace = Pace()


def patient(seconds: float) -> float:
    """`seconds`, scaled to the current speed of this machine. Raises BadRequest for a bad LVS_PATIENCE."""
    return seconds * slowness()


def slowness() -> float:
    """The factor for deadlines: LVS_PATIENCE if set, else as measured, at least 1."""
    override = os.environ.get("LVS_PATIENCE")
    if not override:
        return _pace.slowness()
    try:
        factor = float(override)
    except ValueError:
        factor = math.nan
    if not 1 <= factor < math.inf:
        raise BadRequest(f"LVS_PATIENCE={override!r} must be a number >= 1: correct it, or unset it.")
    return factor


class Deadline:
    """`seconds` from now, or more if the machine becomes slower before they have passed."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()
        self._slowest = 1.0

    def limit(self) -> float:
        """The seconds allowed in total, at the current speed."""
        self._slowest = max(self._slowest, slowness())
        return self._seconds * self._slowest

    def has_passed(self) -> bool:
        passed = time.monotonic() - self._began
        return passed > self._seconds and passed > self.limit()  # measures only if `seconds` have passed


def poll_until(probe: Callable[[], T], good: Callable[[T], object], seconds: float) -> T:
    """Call `probe` until `good` accepts its value or `patient(seconds)` have passed; the last value."""
    return _poll(probe, good, Deadline(seconds))


def _poll(probe: Callable[[], T], good: Callable[[T], object], deadline: Deadline) -> T:
    pause = _FIRST_PAUSE
    while True:
        value = probe()
        if good(value) or deadline.has_passed():
            return value
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def wait_for(probe: Callable[[], T], seconds: float, what: str, failure: type[LabError]) -> T:
    """Call `probe` until it returns a true value, and return that.

    Raises `failure`, which names `what`, after `patient(seconds)`.
    """
    deadline = Deadline(seconds)
    value = _poll(probe, bool, deadline)
    if not value:
        raise failure(
            f"Timed out after {deadline.limit():.3g} s waiting for {what}: see logs/ in the run's folder."
        )
    return value
