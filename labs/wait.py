"""Waiting for a state, with a deadline: the only place of the labs that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from labs.errors import LabError

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05  # seconds between two looks


def look_until(look: Callable[[], T], good: Callable[[T], object], seconds: float) -> T:
    """Call `look` until `good` likes what it returns or `seconds` have passed; the last look."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        seen = look()
        if good(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def wait_for(look: Callable[[], T], seconds: float, what: str, failure: type[LabError]) -> T:
    """Call `look` until it returns something true, and return that.

    Raises `failure`, naming `what`, when `seconds` have passed.
    """
    seen = look_until(look, bool, seconds)
    if not seen:
        raise failure(f"Waited {seconds:g} s for {what} in vain: see logs/ in the run's folder.")
    return seen
