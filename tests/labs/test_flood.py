"""Three times as many packets as the Scapy engine can process, from random addresses, beside real clients."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("flood_trial.py")


# differs: syn-floods
def test_connections_continue_and_new_ones_are_served(tmp_path: Path) -> None:
    """In VS-NAT, where the director also forwards the replies to the flood's packets."""
    command = sandboxed(sys.executable, str(TRIAL), "nat", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(120), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    for flood in ("SYN", "UDP", "SYN+ACK"):
        found = results[flood]
        ends = found["before"], found["new"], found["old"], found["still flooded"]
        assert ends == ("s", "s", "s", True), flood
    assert results["SYN"]["counters"]["missed"] == 0
    assert min(results["events"].values()) > 0
    assert results["SYN+ACK"]["counters"]["shed"] >= sum(results["events"].values())
