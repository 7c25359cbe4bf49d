"""The labs, with kernel IPVS behind their director: every check passes, packet tables included."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs.wait import patient

ROOT = Path(__file__).resolve().parents[2]
FAR_AWAY = {"nat": (), "tun": ("--delay", "20"), "dr": ("--loss", "0.5")}  # the kernel has netem, too


@pytest.mark.parametrize("method", FAR_AWAY)
def test_a_lab_with_kernel_ipvs(method: str, tmp_path: Path) -> None:
    command = [sys.executable, "tasks.py", f"lab-{method}", "--engine", "ipvs", *FAR_AWAY[method]]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patient(25),
    )
    assert done.returncode == 0, done.stdout
    assert "engine ipvs" in done.stdout
