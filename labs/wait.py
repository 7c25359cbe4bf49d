"""Waiting for a state, with a deadline: the only place of the labs that sleeps.

LVS_PATIENCE multiplies every deadline of the labs, for a machine that is slow (an emulated one).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import TypeVar

from labs.errors import BadRequest, LabError

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.05  # seconds between two looks


def patient(seconds: float) -> float:
    """`seconds` times LVS_PATIENCE, a number of 1 or more; raises BadRequest for another."""
    told = os.environ.get("LVS_PATIENCE") or "1"
    try:
        factor = float(told)
    except ValueError:
        factor = math.nan
    if not 1 <= factor < math.inf:
        raise BadRequest(f"LVS_PATIENCE={told!r} is no factor: set a number of 1 or more, or unset it.")
    return seconds * factor


def look_until(look: Callable[[], T], good: Callable[[T], object], seconds: float) -> T:
    """Call `look` until `good` likes what it returns or `patient(seconds)` have passed; the last look."""
    deadline = time.monotonic() + patient(seconds)
    pause = _FIRST_PAUSE
    while True:
        seen = look()
        if good(seen) or time.monotonic() > deadline:
            return seen
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def wait_for(look: Callable[[], T], seconds: float, what: str, failure: type[LabError]) -> T:
    """Call `look` until it returns something true, and return that.

    Raises `failure`, naming `what`, when `patient(seconds)` have passed.
    """
    seen = look_until(look, bool, seconds)
    if not seen:
        raise failure(f"Waited {patient(seconds):g} s for {what} in vain: see logs/ in the run's folder.")
    return seen
