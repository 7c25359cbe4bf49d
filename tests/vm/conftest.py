"""These tests need a kernel with IPVS: ./inv vm-test runs them in one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _able() -> None:
    if os.geteuid() or not Path("/proc/net/ip_vs").exists() or not shutil.which("ipvsadm"):
        pytest.fail("this kernel has no IPVS, or ipvsadm is missing: ./inv vm-test has both")


def pytest_configure(config: pytest.Config) -> None:
    """Marks for the order of tests (vm/budget.py); tests without one are the core of every run."""
    config.addinivalue_line("markers", "changed: something that it depends on has changed: runs first")
    config.addinivalue_line("markers", "rest: runs last, while there is time")
