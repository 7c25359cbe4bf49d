"""A plugin of pytest: after LVS_MINUTES no further test begins, and each that is left says so.

An emulated machine may be five times slower than another one: what is tried in a given time depends on it.
"""

from __future__ import annotations

import os
import time

import pytest

_BEGAN = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    minutes = float(os.environ.get("LVS_MINUTES") or "inf")
    if time.monotonic() - _BEGAN > 60 * minutes:
        pytest.skip(f"no time left: {minutes:g} minutes are over")
