"""A director as a process, with real kernels around it: client, director and server in namespaces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("director_trial.py")
CIP = "203.0.113.101"


@pytest.fixture(scope="module", params=["nat", "tun", "dr"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    command = sandboxed(sys.executable, str(TRIAL), request.param, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(90), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return {"method": request.param, **result}


def test_data_arrives_unchanged(results: dict[str, Any]) -> None:
    assert results["download"][:3] == ["0", "200", CIP]
    assert results["upload"][:3] == ["0", "200", CIP]
    assert results["downloaded"]
    assert results["uploaded"]


def test_replies_pass_the_director_in_nat_only(results: dict[str, Any]) -> None:
    """1 MB is 700 full packets; without replies only the upload and acknowledgements pass."""
    counted = results["counters"]
    assert counted["out"] >= (1300 if results["method"] == "nat" else 650)
    assert (counted["malformed"], counted["lost"], counted["dropped"]) == (0, 0, 0)


def test_an_upload_learns_the_mtu_of_the_tunnel(results: dict[str, Any]) -> None:
    assert (results["counters"]["answered"] > 0) == (results["method"] == "tun")


def test_the_kernel_does_not_interfere(results: dict[str, Any]) -> None:
    output = {key: results["kernel"][key] for key in ("resets", "unreachables", "redirects")}
    assert output == {"resets": 0, "unreachables": 0, "redirects": 0}
    assert results["kernel"]["tables"] == "table ip lvs"
    assert results["counters"]["local"] == 0


def test_a_port_without_a_service_is_refused_by_the_kernel(results: dict[str, Any]) -> None:
    assert results["refused"] == "7"
    assert results["killed"]["resets"] >= 1


def test_the_vip_answers_ping_and_arp(results: dict[str, Any]) -> None:
    assert results["ping"]
    assert results["vip_mac"] == results["director_mac"]


def test_ippfvsadm(results: dict[str, Any]) -> None:
    assert "203.0.113.1" not in results["none"]
    assert results["add"] == results["deleted"] == ""
    assert "203.0.113.1" in results["list"].splitlines()[1]
    assert "exists" in results["again"]


def test_without_its_last_server_the_service_is_gone(results: dict[str, Any]) -> None:
    assert results["after_delete"] == "7"


def test_a_second_director_on_the_host_is_refused_in_one_sentence(results: dict[str, Any]) -> None:
    code, output = results["second"]
    assert code == 2
    assert output.count("\n") == 1
    assert "only one director can run" in output


def test_a_new_director_replaces_a_killed_one(results: dict[str, Any]) -> None:
    assert (results["killed"]["device"], results["killed"]["tables"]) == (False, "table ip lvs")
    assert results["after_kill"] == ["0", "200"]


def test_a_recreated_interface_is_used_again(results: dict[str, Any]) -> None:
    """Even if the director had no descriptor left to look at it when it appeared."""
    assert "the director continues" in results["failed"]
    assert results["made_anew"] == ["0", "200"]


def test_a_director_that_ends_leaves_nothing(results: dict[str, Any]) -> None:
    assert results["exit"] == 0
    left = {key: results["ended"][key] for key in ("device", "tables", "socket")}
    assert left == {"device": False, "tables": "", "socket": False}


def test_events(results: dict[str, Any]) -> None:
    assert {"new", "rules", "state"} <= set(results["events"])
