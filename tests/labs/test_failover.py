"""./inv failover's deaths: without any synchronisation no connection lives, with mh and sloppy_tcp all do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from labs.wait import patient
from tests.labs.failover_trial import COUNT
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("failover_trial.py")


def test_what_becomes_of_connections_does_not_depend_on_the_machine(tmp_path: Path) -> None:
    command = sandboxed(sys.executable, str(TRIAL), str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(110), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(tmp_path.rglob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    found = json.loads((tmp_path / "results.json").read_text())
    methods, share = sorted(found["methods"]), COUNT // len(found["methods"])
    assert found["seen"] == {
        "none": [f"{method} reset: {share}" for method in methods],
        "none, owners": ["d2"],
        "mh": [f"{method} lives: {share}" for method in methods],
        "mh, owners": ["d1"],
    }, logs
