"""lvs-heartbeat on two directors, one of which dies, comes back and stops: who has the VIP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("heartbeat_trial.py")


def test_the_vip_moves_as_in_1999(tmp_path: Path) -> None:
    command = sandboxed(sys.executable, str(TRIAL), str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(110), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(tmp_path.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    results = json.loads((tmp_path / "results.json").read_text())
    notes = {host: results.pop(f"notes of {host}") for host in ("d1", "d2")}
    assert results == {
        "both": "d1, d1",
        "d1 is killed": "d1 d2, d2",
        "d1 comes back": "d1, d1",
        "d1 stops": "d2, d2",
        "d2 stops": "nobody, d2",
    }, logs
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert {"node": "d2", "peer": "d1", "state": "dead", "held": ["203.0.113.1"]}.items() <= (
        next(event for event in events if event["state"] == "dead").items()
    )
    assert all(event["kind"] == "heartbeat" for event in events)
    # The resource's script, with its arguments, after the address: at the start and when d2 takes over.
    assert notes["d2"][:2] == ["first second stop no", "first second start yes"]
    assert notes["d1"][:2] == ["first second stop no", "first second start yes"]
