"""How slow this machine is, measured by a start of Python, which needs processor and disk.

Two things follow from it: a factor for deadlines in an emulated machine (`python -m vm.pace` prints it for
LVS_PATIENCE), and how long tests will take. The reference is an emulated machine on two idle processors,
where the whole of `./inv vm-test` takes half an hour; `--durations` of a run there renews the table.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

START = 1.2  # seconds for a start of Python on the reference machine
MIN_PATIENCE, MAX_PATIENCE = 12, 48
_START_PER_PATIENCE = 0.15  # seconds
_COMMAND = (sys.executable, "-c", "import json, socket, subprocess")
_STARTS = 2
_TRUST = 60.0  # reference seconds: the measured start counts as much as tests of this duration
# Seconds on the reference machine; the first entry whose text is in a test's name counts. If tests share a
# fixture, the first of them creates it.
_SECONDS: Sequence[tuple[str, float]] = (
    ("test_a_lab_with_kernel_ipvs[nat]", 150.0),  # starts all three
    ("test_a_lab_with_kernel_ipvs_in_ipv6", 90.0),
    ("test_a_lab_with_kernel_ipvs", 10.0),
    ("test_two_directors_with_kernel_ipvs", 240.0),
    ("test_a_lab_with_our_program", 90.0),
    ("test_the_recording_holds", 14.0),
    ("test_generated_connections", 70.0),
    ("test_ipv6_is_answered", 10.0),
    ("test_all_of_it", 80.0),
    ("test_on_the_wire", 80.0),
    ("test_the_director_serves_too", 70.0),
    ("test_sync.py::test_daemons_are_listed_alike", 90.0),  # its trial is for all of that file
)
_OTHERS = 0.2


def start_seconds() -> float:
    """The duration of a start of Python here; its files are cached, because this process has read them."""
    began = time.monotonic()
    for _ in range(_STARTS):
        subprocess.run(_COMMAND, check=True, stdin=subprocess.DEVNULL)
    return (time.monotonic() - began) / _STARTS


def patience() -> int:
    """The factor for deadlines in an emulated machine."""
    return max(MIN_PATIENCE, min(MAX_PATIENCE, int(start_seconds() / _START_PER_PATIENCE)))


def slowness() -> float:
    """How many times slower than the reference machine this one is."""
    return start_seconds() / START


def reference(test: str) -> float:
    """Seconds that a test takes on the reference machine."""
    return next((seconds for part, seconds in _SECONDS if part in test), _OTHERS)


class Pace:
    """How many times slower than the reference machine this one has been so far, including the start."""

    def __init__(self, slowness: float) -> None:
        self._expected, self._took = _TRUST, _TRUST * slowness

    def __str__(self) -> str:
        return f"{self._took / self._expected:.1f} times as slow as the reference machine"

    def learn(self, test: str, seconds: float) -> None:
        """Take the duration of a test into account."""
        self._expected += reference(test)
        self._took += seconds

    def expects(self, *tests: str) -> float:
        """Seconds that these tests will take here."""
        return sum(map(reference, tests)) * self._took / self._expected


if __name__ == "__main__":
    print(patience())
