"""The recording that unit tests compare our ipvsadm with still holds: the real one prints the same."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed
from tests.unit.director.ipvsadm.support import Recorded, recording

RECORDED = list(recording())
TRIAL = Path(__file__).with_name("recording_trial.py")


@pytest.fixture(scope="module")
def answers() -> list[tuple[str, int]]:
    """Output and exit code of the real ipvsadm for each command, in a network of its own."""
    asked = [(recorded.command, recorded.stdin, recorded.hosts) for recorded in RECORDED]
    done = subprocess.run(
        sandboxed(sys.executable, str(TRIAL)),
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=patient(600),
        env=FROM_CHECKOUT,
    )
    assert done.returncode == 0, done.stderr
    bits = Path("/sys/module/ip_vs/parameters/conn_tab_bits").read_text()
    size, recorded = f"(size={2 ** int(bits)})", "(size=4096)"  # a parameter of the module
    return [(output.replace(size, recorded), code) for output, code in json.loads(done.stdout)]


@pytest.mark.timeout(700)
def test_all_of_it(answers: list[tuple[str, int]]) -> None:
    """One test for all, because each costs a second under emulation."""
    different = [
        f"{recorded.command}\n  recorded {recorded.code}: {recorded.stdout!r}\n  now {code}: {output!r}"
        for recorded, (output, code) in zip(RECORDED, answers, strict=True)
        if (recorded.stdout, recorded.code) != (output, code)
    ]
    assert not different, "\n".join(different)


def test_there_is_something_to_compare() -> None:
    assert all(isinstance(recorded, Recorded) for recorded in RECORDED)
    assert len(RECORDED) > 250
