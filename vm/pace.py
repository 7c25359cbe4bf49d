"""How long tests take: what they took on a reference machine, times how much slower this one is.

The reference is an emulated machine on two processors with nothing else to do, where the whole of
`./inv vm-test` takes 19 minutes. How fast a machine is shows in two starts of Python, and, as a run goes on,
in what its tests have taken so far. `--durations` of a run there renews the table.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

STARTS = 0.5  # seconds that two starts of Python take on the reference machine
_START = (sys.executable, "-c", "import json, socket, subprocess")
_TRUST = 60.0  # reference seconds of tests that count as much as the measured start
_OTHER = 1.0
# Seconds on the reference machine; the first entry whose text is in a test's name counts. Where tests share
# what they look at, the first of them makes it.
_SECONDS: Sequence[tuple[str, float]] = (
    ("test_a_lab_with_kernel_ipvs[nat]", 110.0),  # starts all three
    ("test_a_lab_with_kernel_ipvs", 10.0),
    ("test_a_lab_with_our_program", 60.0),
    ("test_the_recording_holds", 8.0),
    ("test_all_of_it", 60.0),
    ("test_on_the_wire", 20.0),
    ("test_the_director_serves_too", 60.0),
)


def reference(test: str) -> float:
    """Seconds that a test takes on the reference machine."""
    return next((seconds for part, seconds in _SECONDS if part in test), _OTHER)


def measured() -> float:
    """How many times slower than the reference machine this one is, by two starts of Python."""
    began = time.monotonic()
    for _ in range(2):
        subprocess.run(_START, check=True, stdin=subprocess.DEVNULL)
    return (time.monotonic() - began) / STARTS


class Pace:
    """How many times slower than the reference machine this one has been so far."""

    def __init__(self, slowness: float) -> None:
        self._expected, self._took = _TRUST, _TRUST * slowness

    def __str__(self) -> str:
        return f"{self._took / self._expected:.1f} times as slow as the reference machine"

    def learn(self, test: str, seconds: float) -> None:
        self._expected += reference(test)
        self._took += seconds

    def expects(self, *tests: str) -> float:
        """Seconds that these tests will take here."""
        return sum(map(reference, tests)) * self._took / self._expected
