"""The scheduler twos of kernel IPVS has the chances of ours; with LVS_RECORD, what it did is recorded."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from oracle import recordings, twos
from oracle.on_the_wire import PlayerProcess
from oracle.recordings import Recorded

RECORD = os.environ.get("LVS_RECORD")
pytestmark = [pytest.mark.changed] if RECORD else []


def test_the_kernels_twos_draws_as_ours_does() -> None:
    if subprocess.run(["modprobe", "-q", "ip_vs_twos"], check=False).returncode:
        pytest.skip("this kernel has no twos: ./inv vm-test --kernel 6.12 boots one that has")
    with PlayerProcess() as kernel:
        answers = kernel.play(twos.scenario(), twos.PLACE, fresh=True)
    if RECORD:
        made = recordings.made_now()
        new = Recorded(twos.scenario(), twos.PLACE, answers, made)
        recordings.write(Path(RECORD, twos.FILE.name), [new])
    found = twos.deviations(twos.scenario(), answers)
    assert max(map(abs, found.values())) < twos.MOST, found
