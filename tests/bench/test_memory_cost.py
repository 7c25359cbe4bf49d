"""Memory of a connection, and the effect of a flood from a million spoofed clients.

Times are not asserted. On any machine, the table keeps its limit and every established connection
survives.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Note = Callable[[str, str], None]
TRIAL = Path(__file__).with_name("memory_trial.py")


def trial(name: str) -> dict[str, float]:
    root = {**os.environ, "PYTHONPATH": str(TRIAL.parents[2])}
    done = subprocess.run(
        [sys.executable, str(TRIAL), name], capture_output=True, text=True, env=root, check=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result


def test_a_connection(note: Note) -> None:
    observed = trial("connection")
    note(f"one of {observed['connections']:,} connections", f"{observed['bytes']:.0f} bytes")


def test_a_flood_of_a_million(note: Note) -> None:
    observed = trial("flood")
    name = f"{observed['syns']:,} SYNs, limit {observed['limit']:,}"
    note(f"{name}: memory", f"{observed['bytes'] / 1e6:.0f} MB at most")
    note(f"{name}: each", f"{observed['seconds'] / observed['syns'] * 1e6:.0f} us, 2^12 buckets")
    note(f"{observed['established']:,} established connections", f"{observed['alive']:,} alive after it")
    assert observed["alive"] == observed["established"]
    assert observed["most"] <= observed["limit"]
