"""Hosts that leave checksums and segmentation to a network card, with every engine that can run here.

Three hosts with real kernels and virtual cables, as in the kernel's own test of IPVS (selftests,
net/netfilter): no other component completes what those kernels leave open.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("offload_trial.py")


@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_everything_sent_arrives(method: str, tmp_path: Path) -> None:
    command = sandboxed(sys.executable, str(TRIAL), method, str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(90), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    results = {
        engine: what
        for engine, what in json.loads((tmp_path / "results.json").read_text()).items()
        if "missing" not in what
    }
    came = {
        engine: [what[name] for name in ("few", "up", "down", "exit")] for engine, what in results.items()
    }
    assert came == {engine: [True, True, True, 0] for engine in results}
    assert results["scapy"]["counters"]["in"] > 650 * (2 if method == "nat" else 1)  # 1 MB is 691 segments
