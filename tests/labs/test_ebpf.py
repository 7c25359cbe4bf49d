"""The ebpf engine beyond forwarding: it outlives its director, and survives what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from director import engines
from director.engines.engine import EngineError
from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("ebpf_trial.py")


@pytest.fixture(scope="module", params=("nat", "tun", "dr"))
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    try:
        engines.require("ebpf")
    except EngineError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp(request.param)
    command = sandboxed(sys.executable, str(TRIAL), request.param, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(110), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    result["method"] = request.param
    return result


def test_the_program_forwards_without_the_core(results: dict[str, Any]) -> None:
    forwarded = results["forwarded_in_the_kernel"]
    assert forwarded["names"] == ["s"] * 5
    assert forwarded["by_the_program"] > 10
    assert forwarded["by_the_core"] == 0


def test_connections_outlive_a_killed_director(results: dict[str, Any]) -> None:
    killed = results["killed"]
    assert (killed["before"], killed["meanwhile"], killed["new"]) == ("s", "s", "s")
    assert killed["after"] == ["s", "s"]


def test_the_next_director_adopts_rules_connections_and_counters(results: dict[str, Any]) -> None:
    killed = results["killed"]
    assert [line.replace(" --tun-type ipip", "") for line in killed["rules"]] == killed["wanted"]
    assert killed["connections"] == killed["active"] == 2
    assert killed["more_packets"] > 0
    assert killed["since_zero"] == 1


def test_an_ftp_control_connection_continues_with_the_next_director(results: dict[str, Any]) -> None:
    """In VS-NAT with rewritten addresses and shifted sequence numbers, before and after."""
    answer = "100000" if results["method"] == "nat" else "200 I successfully did nothing'."
    assert results["ftp"] == {"before": [answer] * 2, "after": [answer] * 2, "counted_on": True}


def test_the_program_follows_the_template_that_the_core_has_made(results: dict[str, Any]) -> None:
    persistent = results["persistent"]
    assert persistent["names"] == ["s", "s", "s"]
    assert persistent["more_by_the_core"] == 0


def test_the_next_director_adopts_templates_and_their_connections(results: dict[str, Any]) -> None:
    persistent = results["persistent"]
    assert (persistent["active"], persistent["persistent"]) == (3, 1)
    assert [state for state, _ in persistent["templates"]] == ["ASSURED"]


def test_a_second_director_is_refused_and_the_first_continues(results: dict[str, Any]) -> None:
    second = results["second"]
    assert second["code"] == 2
    assert "only one director can run on a host" in second["says"]
    assert len(second["says"].splitlines()) == 1
    assert second["first"] == "s"


def test_the_first_packet_to_an_unknown_neighbour_is_not_lost(results: dict[str, Any]) -> None:
    assert results["unknown_neighbour"] == {"name": "s", "sent_again": 0}


def test_a_server_may_change_its_mac_address(results: dict[str, Any]) -> None:
    assert results["moved_neighbour"] == {"before": "s", "after": "s"}


def test_a_flood_of_syns_evicts_no_established_connection(results: dict[str, Any]) -> None:
    flood = results["flood"]
    assert (flood["before"], flood["after"], flood["new"]) == ("s", "s", "s")
    assert flood["entries"] <= 64 + (os.cpu_count() or 1)  # each processor may exceed it by one


def test_an_interface_may_disappear(results: dict[str, Any]) -> None:
    assert results["interface_gone"] == {"name": "s", "alive": True, "exit": 0}


def test_an_interface_may_be_replaced(results: dict[str, Any]) -> None:
    assert results["interface_replaced"] == {"name": "s", "alive": True}


def test_another_programs_filter_stays(results: dict[str, Any]) -> None:
    assert results["other_filter"] == {"names": ["s", "s"], "exit": 0, "stays": True}


def test_nothing_is_left_after_an_orderly_end(results: dict[str, Any]) -> None:
    assert results["nothing_left"] == {"filters": "", "devices": []}
