"""lvs-monitor takes failed servers out and puts them back, with real kernels around a director in VS-DR."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("monitor_trial.py")
FAILURES = {
    "killed": "connection refused",
    "frozen": "no answer within",
    "cable": "no answer within",
    "500": "/ answers with status 500",
    "slow": "no answer within",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("monitor")
    command = sandboxed(sys.executable, str(TRIAL), "scapy", str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(110), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return result


def test_it_adds_the_rules_of_the_file(results: dict[str, Any]) -> None:
    rules = results["start"]["rules"].splitlines()
    assert rules[:3] == [
        "-A -t 203.0.113.1:80 -s rr",
        "-a -t 203.0.113.1:80 -r 203.0.113.11:80 -g -w 1",
        "-a -t 203.0.113.1:80 -r 203.0.113.12:80 -g -w 2",
    ]
    assert results["start"]["names"] == "s t"


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_server_is_taken_out_and_put_back(results: dict[str, Any], failure: str) -> None:
    found = results["every_failure"][failure]
    assert found["down"]["why"].startswith(FAILURES[failure])
    assert (found["down"]["rules"], found["names without it"]) == ("s", "s")
    assert (found["up"]["event"], found["up"]["rules"], found["names with it"]) == (True, "s t", "s t")


def test_changes_of_state_run_their_scripts(results: dict[str, Any]) -> None:
    times = len(FAILURES) + 2  # and in `sorry` and `reload`
    assert results["notified"] == ["down", "up"] * times
    assert results["sorry"]["quorum"] == ["gained", "lost", "gained"]


def test_without_a_quorum_the_sorry_server_stands_in(results: dict[str, Any]) -> None:
    found = {name: value for name, value in results["sorry"].items() if name != "quorum"}
    assert found == {"rules": "d", "names": "d", "again": "s", "both": "s t"}


def test_a_reload_changes_what_differs_and_a_broken_file_nothing(results: dict[str, Any]) -> None:
    assert results["reload"]["broken"]
    assert results["reload"]["rules"].splitlines()[1:3] == [
        "-a -t 203.0.113.1:80 -r 203.0.113.11:80 -g -w 5",
        "-a -t 203.0.113.1:80 -r 203.0.113.12:80 -g -w 0",
    ]
    assert results["reload"]["both"] == "s t"


def test_a_director_that_is_started_again_gets_its_rules_back(results: dict[str, Any]) -> None:
    assert results["director_killed"] == {"rules": "s t", "names": "s t"}


def test_at_the_end_the_rules_are_as_before(results: dict[str, Any]) -> None:
    assert (results["stop"]["code"], results["stop"]["as before"]) == (0, True), results["stop"]["said"]
