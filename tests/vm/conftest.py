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
