"""Kernel IPVS does with odd packets what is recorded; with LVS_RECORD, it is recorded again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from labs.wait import patient
from oracle import odd_packets, recordings
from tests.labs.support import FROM_CHECKOUT

RECORD = os.environ.get("LVS_RECORD")
pytestmark = [pytest.mark.changed] if RECORD else []
NAMESPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def test_the_odd_packets_are_answered_as_recorded() -> None:
    before = odd_packets.read()
    if RECORD and odd_packets.holds(before, recordings.made_now()) and not os.environ.get("LVS_FORCE"):
        pytest.skip("nothing has changed since they were recorded")
    command = (*NAMESPACES, sys.executable, "-m", "oracle.odd_packets")
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(60), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stderr
    now = json.loads(done.stdout)
    different = odd_packets.differences(before, now)
    if RECORD:  # the same answers are kept, with a new fingerprint
        recording = now if different else {**before, **recordings.made_now()._asdict()}
        odd_packets.write(recording, Path(RECORD, odd_packets.FILE.name))
    else:
        assert not different, "\n".join(different)
