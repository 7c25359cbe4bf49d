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
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    command = sandboxed(sys.executable, str(TRIAL), request.param, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(90), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "seen.json").read_text())
    return {"method": request.param, **result}


def test_data_arrives_unchanged(seen: dict[str, Any]) -> None:
    assert seen["download"][:3] == ["0", "200", CIP]
    assert seen["upload"][:3] == ["0", "200", CIP]
    assert seen["downloaded"]
    assert seen["uploaded"]


def test_replies_pass_the_director_in_nat_only(seen: dict[str, Any]) -> None:
    """1 MB is 700 full packets; without replies only the upload and acknowledgements pass."""
    counted = seen["counters"]
    assert counted["out"] >= (1300 if seen["method"] == "nat" else 650)
    assert (counted["malformed"], counted["lost"], counted["dropped"]) == (0, 0, 0)


def test_an_upload_learns_the_mtu_of_the_tunnel(seen: dict[str, Any]) -> None:
    assert (seen["counters"]["answered"] > 0) == (seen["method"] == "tun")


def test_the_kernel_does_not_interfere(seen: dict[str, Any]) -> None:
    said = {key: seen["kernel"][key] for key in ("resets", "unreachables", "redirects")}
    assert said == {"resets": 0, "unreachables": 0, "redirects": 0}
    assert seen["kernel"]["tables"] == "table ip lvs"
    assert seen["counters"]["local"] == 0


def test_a_port_without_a_service_is_refused_by_the_kernel(seen: dict[str, Any]) -> None:
    assert seen["refused"] == "7"
    assert seen["killed"]["resets"] >= 1


def test_the_vip_answers_ping_and_arp(seen: dict[str, Any]) -> None:
    assert seen["ping"]
    assert seen["vip_mac"] == seen["director_mac"]


def test_ippfvsadm(seen: dict[str, Any]) -> None:
    assert "203.0.113.1" not in seen["none"]
    assert seen["add"] == seen["deleted"] == ""
    assert "203.0.113.1" in seen["list"].splitlines()[1]
    assert "exists" in seen["again"]


def test_without_its_last_server_the_service_is_gone(seen: dict[str, Any]) -> None:
    assert seen["after_delete"] == "7"


def test_a_second_director_on_the_host_is_refused_in_one_sentence(seen: dict[str, Any]) -> None:
    code, said = seen["second"]
    assert code == 2
    assert said.count("\n") == 1
    assert "only one director can run" in said


def test_a_new_director_replaces_a_killed_one(seen: dict[str, Any]) -> None:
    assert (seen["killed"]["device"], seen["killed"]["tables"]) == (False, "table ip lvs")
    assert seen["after_kill"] == ["0", "200"]


def test_a_recreated_interface_is_used_again(seen: dict[str, Any]) -> None:
    """Even if the director had no descriptor left to look at it when it appeared."""
    assert "the director goes on" in seen["failed"]
    assert seen["made_anew"] == ["0", "200"]


def test_a_director_that_ends_leaves_nothing(seen: dict[str, Any]) -> None:
    assert seen["exit"] == 0
    left = {key: seen["ended"][key] for key in ("device", "tables", "socket")}
    assert left == {"device": False, "tables": "", "socket": False}


def test_events(seen: dict[str, Any]) -> None:
    assert {"new", "rules", "state"} <= set(seen["events"])
