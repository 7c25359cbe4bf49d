"""The effects of ipvsadm's options on a client, with real kernels around a director, in all three methods."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from director import engines
from director.engines.engine import EngineError
from labs.wait import patient
from tests.labs.features_trial import ADDED
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("features_trial.py")
METHODS = {"nat": "Masq", "tun": "Tunnel", "dr": "Route"}


ENGINES = ("scapy", "ebpf", "kernel")


CASES = [(method, engine) for engine in ENGINES for method in METHODS]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    method, engine = request.param
    if engine == "kernel" and not has_ipvs():
        pytest.skip("this kernel has no IPVS, or ipvsadm is missing: ./inv vm-test has both")
    if engine != "kernel":
        try:
            engines.require(engine)
        except EngineError as missing:
            pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp(method)
    command = sandboxed(sys.executable, str(TRIAL), method, engine, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(110), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return {"method": method, "engine": engine, **result}


def has_ipvs() -> bool:
    """Whether kernel IPVS can be administered here."""
    return os.geteuid() == 0 and Path("/proc/net/ip_vs").exists() and shutil.which("ipvsadm") is not None


def test_the_director_serves_too(results: dict[str, Any]) -> None:
    local = results["local_node"]
    assert local["names"] == ["s", "d", "s", "d"]
    assert local["whole"] == [["s", True], ["d", True]]
    methods = {line.split()[2] for line in local["list"].splitlines() if line.startswith("  -> ")}
    assert methods - {"Forward"} == {METHODS[results["method"]]}


def test_the_local_node_has_its_own_port(results: dict[str, Any]) -> None:
    local = results["local_port"]
    assert local["names"] + local["again"] == ["d"] * 3
    assert local["saved"].splitlines()[1].endswith(":8083 -m -w 3")
    if results["engine"] != "kernel":  # differs: local-node
        assert [line.split()[2] for line in local["counted"].splitlines() if ":8083" in line] == ["1"]
        assert "own host can't serve" in local["refused"]
        assert "lvs_local_node" in local["tables"]


def test_an_explanation_is_right_and_changes_nothing(results: dict[str, Any]) -> None:
    explained = results["explained"] or pytest.skip("kernel IPVS does not explain itself")
    assert explained["unchanged"]
    new = explained["new"]
    assert (new["decision"], new["method"]) == ("forward", results["method"].upper())
    assert "rr: turn of server 1 of 2" in new["reasons"]
    assert new["way"]["dest_mac"]
    assert explained["local"]["decision"] == "pass"
    assert "known connection" in explained["words"]


def test_the_packet_table_of_a_live_connection(results: dict[str, Any]) -> None:
    explained = results["explained"] or pytest.skip("kernel IPVS does not explain itself")
    remote, local = explained["rows"]
    leaves = {
        "nat": ["request", "inbound rewriting", "reply to load balancer", "outbound rewriting"],
        "tun": ["request", "encapsulated", "reply, past the director"],
        "dr": ["request", "forwarded", "reply, past the director"],
    }[results["method"]]
    assert [row["packet"] for row in remote] == leaves
    assert remote[-1] | {"packet": ""} == {
        "packet": "",
        "source": "203.0.113.1:80",
        "dest": "203.0.113.101:4321",
    }
    assert local[1]["packet"] == "to the director's own kernel"


def test_weight_zero_drains_and_connections_wait_for_a_deleted_server(results: dict[str, Any]) -> None:
    drained = results["drained"]
    assert drained["first"] == drained["quiet"]["old"] == drained["back"] == "s"
    assert drained["quiet"]["new"] == ["d"] * 3
    assert drained["deleted"] == ["d"] * 2


def test_which_connections_are_refused(results: dict[str, Any]) -> None:
    """7 is curl's "could not connect": the client is told at once."""
    refused = results["refused"]
    assert (refused["no server"], refused["overloaded"], refused["no rule"]) == (["7"], ["7"], ["7"])
    assert refused["held"] == "s"


def test_a_persistent_client_stays(results: dict[str, Any]) -> None:
    assert len(set(results["persistent"]["names"])) == 1
    template = [line for line in results["persistent"]["connections"].splitlines() if ":0 " in line]
    assert [line.split()[2] for line in template] == ["ASSURED"]


def test_two_ports_with_one_mark_are_one_service(results: dict[str, Any]) -> None:
    assert len(set(results["marked"]["names"])) == 1
    assert "FWM  7 rr persistent 60" in results["marked"]["list"]
    if results["engine"] != "kernel":  # differs: marks-of-its-own
        assert results["marked"]["marks"] == "-A -p tcp -d 203.0.113.1 --dport 80:81 --set-mark 7\n"


def test_a_datagram_in_fragments_arrives_whole(results: dict[str, Any]) -> None:
    answers = results["datagrams"]["fragmented"]
    assert [answer.split()[:2] for answer in answers] == [["s", "4000"]] * 2


def test_each_datagram_is_scheduled_separately(results: dict[str, Any]) -> None:
    """In VS-NAT replies are not rewritten then: their connection is not remembered."""
    once = results["one_packet"]
    names = ["s", "d"] * 2
    if results["method"] == "nat":  # differs: one-packet-replies
        names = ["d"] * 2 if results["engine"] != "kernel" else []
    assert [answer.split()[0] for answer in once["answers"]] == names
    service = next(line for line in once["stats"].splitlines() if line.startswith("UDP"))
    assert service.split()[2:4] == ["4", "4"]


def test_no_packet_is_lost_at_1500_a_second(results: dict[str, Any]) -> None:
    paced = results["paced"]
    assert paced["answer"].split()[3:] == [str(paced["sent"])]


def test_icmp_errors_reach_the_client(results: dict[str, Any]) -> None:
    assert (results["icmp"]["refused"], results["icmp"]["ttl"]) == ("ECONNREFUSED", "EHOSTUNREACH")
    if results["engine"] != "kernel":  # whose counters are up to two seconds late
        *_, server = results["icmp"]["counted"].splitlines()
        packets_out, bytes_out = map(int, server.split()[4:7:2])
        # In the other methods errors return directly.
        assert (packets_out > 0) == (results["method"] == "nat")
        assert bytes_out >= 56 * packets_out


def test_saved_rules_come_back(results: dict[str, Any]) -> None:
    saved = results["saved"]
    assert saved["before"].count("\n") == 9
    assert saved["after"] == saved["before"]
    assert saved["empty"] == ""
    if results["engine"] != "kernel":  # differs: restore-at-once
        assert saved["bad"].startswith("ipvsadm: ")
        assert saved["refused"] == saved["before"]  # the good line before the bad one has changed nothing


def test_two_administrators_at_once_lose_nothing(results: dict[str, Any]) -> None:
    assert results["two_administrators"] == 2 * ADDED


def test_the_director_has_survived_all_that(results: dict[str, Any]) -> None:
    assert results["alive"]
