"""Malformed frames on real wires: the eBPF program treats each as the Scapy engine does.

LVS_FUZZ=1000000 sends that many more of them, over both engines and all methods together.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from director import engines
from director.engines.engine import EngineError
from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("fuzz_trial.py")
COUNT = 400
MORE = int(os.environ.get("LVS_FUZZ", "0")) // 6


def played(engine: str, method: str, seed: int) -> dict[str, Any]:
    command = sandboxed(sys.executable, str(TRIAL), engine, method, str(seed), str(COUNT), str(MORE))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=patient(100 + MORE / 200), env=FROM_CHECKOUT
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_the_program_does_what_the_scapy_engine_does(method: str, seed: int) -> None:
    try:
        engines.require("ebpf")
    except EngineError as missing:
        pytest.skip(str(missing))
    ours, theirs = (played(engine, method, seed) for engine in ("ebpf", "scapy"))
    for number, (one, other) in enumerate(zip(ours["frames"], theirs["frames"], strict=True)):
        assert one == other, f"seed {seed}, frame {number}"
    assert ours["connections"] == theirs["connections"], f"seed {seed}"
    assert ours["loads"] == theirs["loads"], f"seed {seed}"
    assert ours["end"] == theirs["end"] == {"failed": 0, "served": 1}, f"seed {seed}"
    assert sum(bool(frame["out"]) for frame in ours["frames"]) > COUNT // 10
