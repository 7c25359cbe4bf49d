"""The labs, with kernel IPVS behind their director: every check passes, packet tables included."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from labs.wait import patient

ROOT = Path(__file__).resolve().parents[2]
FAR_AWAY = {"nat": (), "tun": ("--delay", "20"), "dr": ("--loss", "0.5")}  # the kernel has netem, too


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All three at once: a lab waits more than it works."""
    runs = tmp_path_factory.mktemp("runs")
    started = {method: _start(method, runs) for method in FAR_AWAY}
    yield started
    for lab in started.values():
        lab.kill()


def _start(method: str, runs: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "tasks.py", f"lab-{method}", "--engine", "ipvs", *FAR_AWAY[method]],
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(runs)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("method", FAR_AWAY)
def test_a_lab_with_kernel_ipvs(labs: dict[str, subprocess.Popen[str]], method: str) -> None:
    output, _ = labs[method].communicate(timeout=patient(40))
    assert labs[method].returncode == 0, output
    assert "engine ipvs" in output
