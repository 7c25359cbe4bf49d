"""Two directors in namespaces: the backup learns of connections, and continues them when the master dies."""

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

TRIAL = Path(__file__).with_name("sync_trial.py")
LINE = "{} sync daemon (mcast={}-eth1, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)\n"


@pytest.fixture(scope="module", params=["scapy", "ebpf"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    engine = request.param
    if engine != "scapy":
        if os.geteuid():
            pytest.skip("the ebpf engine needs root")
        try:
            engines.require(engine)
        except EngineError as error:
            pytest.skip(str(error))
    folder = tmp_path_factory.mktemp(engine)
    command = sandboxed(sys.executable, str(TRIAL), engine, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(150), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return {"engine": engine, **result}


def test_the_daemons_are_listed_as_ipvsadm_lists_them(results: dict[str, Any]) -> None:
    assert (results["started master"], results["started backup"]) == ("", "")
    assert results["master"] == LINE.format("master", "d1")
    assert results["backup"] == LINE.format("backup", "d2")
    assert results["twice"].startswith("ipvsadm: Daemon has already run")
    assert results["nowhere"].startswith("ipvsadm: The master daemon can't use the interface nosuch")
    assert results["stopped"] == ""
    assert not results["after"].startswith("backup")
    assert results["stopped twice"].startswith("ipvsadm: No daemon is running")


def test_the_backup_has_what_the_master_has(results: dict[str, Any]) -> None:
    """Two downloads, ftp's control connection and a template."""
    ours, copied = results["rows"]
    assert ours == copied, results["counters"]
    assert len(ours) == 4
    assert results["origins"] == ["SYNC"]
    assert results["lead"] < patient(5)
    assert results["listing"].count("Masq    1      1 ") == 2  # ftp's data connection has ended: inactive
    assert results["listing"].count("Route   1      1          0") == 1


def test_every_message_arrives(results: dict[str, Any]) -> None:
    sent, received = results["sent"], results["received"]
    assert sent["lost"] == received["dropped"] == received["skipped"] == 0
    assert received["messages"] >= sent["messages"]  # by then more were sent
    assert received["connections"] >= sent["connections"]


def test_downloads_outlive_the_master_in_nat_and_direct_routing(results: dict[str, Any]) -> None:
    assert results["running at the death"] == [True, True]
    assert results["continued"] == {"80": True, "8080": True}
    assert results["codes"] == {"80": 0, "8080": 0}
    assert results["whole"] == {"80": True, "8080": True}


def test_an_ftp_session_continues_with_its_shifted_sequence_numbers(results: dict[str, Any]) -> None:
    assert (results["ftp before"], results["ftp after"]) == ("10000 200\n", "10000 200\n")


def test_a_director_that_comes_back_asks_for_the_whole_table(results: dict[str, Any]) -> None:
    """Connections that send nothing: an ftp session and a template, with --resync."""
    connections, unknown, missing = results["idle"]
    assert connections >= 2
    assert missing == 0
    if results["engine"] == "scapy":  # the program in the kernel has kept its own table
        assert unknown == connections
    assert 1 <= results["asked"] <= 5
    asking = LINE.format("backup", "d1").replace("=7", "=8").replace("ttl=1", "ttl=1, resync")
    assert results["resync"] == asking


def test_the_backup_serves_new_clients(results: dict[str, Any]) -> None:
    assert results["new"] == 0
