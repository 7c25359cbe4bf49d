"""The controller with real switches, once on Ryu and once on os-ken: what it forwards and records."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient

TRIAL = Path(__file__).with_name("controller_trial.py")
SENT = 1_000_000


@pytest.fixture(scope="module", params=[("ryu", "ryu"), ("os-ken", "os_ken")], ids=["ryu", "os-ken"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    name, package = request.param
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp(name)
    command = [sys.executable, str(TRIAL), name, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(60))
    log = folder / "controller.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    assert result["framework"][0] == name
    return result


def test_switches_are_known_by_name_and_port(results: dict[str, Any]) -> None:
    assert results["switches"] == {
        "s1": ["s1-eth1", "s1-eth2", "s1-eth3"],
        "s2": ["s2-eth1", "s2-eth2", "s2-eth3"],
    }


def test_all_hosts_reach_each_other(results: dict[str, Any]) -> None:
    assert results["lost"] == []


def test_arp_is_recorded_where_it_entered(results: dict[str, Any]) -> None:
    answers = {tuple(claim) for claim in results["arp"] if claim[2] == "reply" and claim[3] == "10.0.0.4"}
    assert answers == {
        ("s2", "s2-eth2", "reply", "10.0.0.4", "02:00:00:00:00:04"),
        ("s1", "s1-eth3", "reply", "10.0.0.4", "02:00:00:00:00:04"),
    }
    assert ["s1", "s1-eth1", "request", "10.0.0.1", "02:00:00:00:00:01"] in results["arp"]
    assert results["arp_after_last"] == 0


def test_counters_show_the_direction_of_bytes(results: dict[str, Any]) -> None:
    """The first port may count more: what Open vSwitch drops in a burst was received, and comes again."""
    assert results["received"] == SENT
    received, sent = (
        dict(zip(results["bytes"], totals, strict=True))
        for totals in zip(*results["bytes"].values(), strict=True)
    )
    assert received["s1-eth1"] > SENT
    for bytes_on_the_way in (sent["s1-eth3"], received["s2-eth3"], sent["s2-eth2"]):
        assert SENT < bytes_on_the_way < SENT * 1.1
    for bystander in ("s1-eth2", "s2-eth1"):
        assert received[bystander] + sent[bystander] < SENT * 0.01


def test_malformed_arp_is_ignored_and_a_false_claim_is_recorded(results: dict[str, Any]) -> None:
    assert ["s2-eth1", "reply", "02:00:00:00:99:99", "02:00:00:00:00:03"] in results["claims"]
    assert {claim[2] for claim in results["claims"]} == {"02:00:00:00:99:99"}
    assert results["alive"]


def test_an_address_that_moves_is_followed(results: dict[str, Any]) -> None:
    assert " 0% packet loss" in results["moved"]


def test_a_deleted_port_is_no_longer_counted(results: dict[str, Any]) -> None:
    assert results["gone"] == ["s1-eth1", "s1-eth3", "s2-eth1", "s2-eth2", "s2-eth3"]
