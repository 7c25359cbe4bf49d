"""Our director and kernel IPVS as each other's backup: both tables are the same, also in IPv6."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("kernel_sync_trial.py")
LINE = "{} sync daemon (mcast={}, syncid={}, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n"
HOSTS = {"k": "from the kernel to ours", "o": "from ours to the kernel"}
STATES = {"ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT", "ASSURED", "UDP"}
UNTOLD = ":40000"  # the client's port of a connection with too few packets
LATE = 5.0  # seconds between the two readings of the tables


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    command = sandboxed(sys.executable, str(TRIAL))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(90), env=FROM_CHECKOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_daemons_are_listed_alike(results: dict[str, Any]) -> None:
    assert results["rules"] == ["", ""]
    for host, own, other in (("k", 7, 9), ("o", 9, 7)):
        device = f"{host}-eth0"
        assert (results[f"{host} master"], results[f"{host} backup"]) == ("", "")
        expected = LINE.format("master", device, own) + LINE.format("backup", device, other)
        assert results[f"{host} daemons"] == expected
        assert (results[f"{host} master stopped"], results[f"{host} backup stopped"]) == ("", "")
    for kernels, ours in (results["again"], (results["k again"], results["o again"])):
        assert ours.removeprefix("ipvsadm: ").startswith(kernels.strip().rstrip("."))


@pytest.mark.parametrize("case", ["version 0", "version 1", "IPv6"])
@pytest.mark.parametrize("host", HOSTS, ids=HOSTS.get)
def test_tables_are_equal(results: dict[str, Any], host: str, case: str) -> None:
    """To the last field; times may differ by what the messages and the reading take."""
    tables = results[case][host]
    own = [row for row in tables["own"] if not row["client"].endswith(UNTOLD)]
    sent = tables["told"]
    assert len(sent) == len(own) == len(tables["own"]) - 1 == 10
    assert {row["state"] for row in sent} == STATES
    for mine, theirs in zip(own, sent, strict=True):
        assert theirs.pop("origin") == "SYNC"
        assert "origin" not in mine
        left, there = mine.pop("expires"), theirs.pop("expires")
        assert mine == theirs
        if case != "version 0" or mine["state"] != "ASSURED":  # that gives templates three minutes
            assert abs(there - left) < patient(LATE), mine
    ours, others = tables["listed"]
    assert [line for line in ours if f"{UNTOLD} " not in line] == others


@pytest.mark.parametrize("version", [0, 1])
def test_real_servers_have_as_many_connections(results: dict[str, Any], version: int) -> None:
    kernels, ours = results[f"servers {version}"]
    assert kernels == ours


def test_no_message_is_lost(results: dict[str, Any]) -> None:
    counters = results["counters"]
    assert (counters["master"]["lost"], counters["backup"]["dropped"]) == (0, 0)
    assert counters["backup"]["messages"] > 0
