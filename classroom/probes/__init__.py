"""Probes look at a running lab and return what was seen, as JSON; they judge nothing.

A probe is a function of the running lab and the case. It has a second or two, whatever is broken:
`./inv check` has to answer within five.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from classroom.variants import Variant
from labs.run.lab import EXPECTED_ERRORS
from labs.run.running import RunningLab
from labs.terminal.exits import exception_line

Probe = Callable[[RunningLab, Variant], Any]
FAILED = "probe failed"  # the key under which a probe's complaint is kept


def look(probe: Probe, running: RunningLab, variant: Variant) -> Any:
    """What a probe sees; if it can't, why not."""
    try:
        return probe(running, variant)
    except EXPECTED_ERRORS as error:
        return {FAILED: str(error) or type(error).__name__}
    except Exception as error:  # noqa: BLE001 (the other probes go on)
        return {FAILED: exception_line(error)}
