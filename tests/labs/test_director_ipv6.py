"""IPv6 through a director as a process, with real kernels around it: clients, neighbours, real servers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from director import engines
from director.engines.engine import EngineError
from labs.wait import patient
from tests.labs.ipv6_trial import SERVICES, VIP
from tests.labs.support import FROM_CHECKOUT, sandboxed
from tests.labs.trial_server import digest

TRIAL = Path(__file__).with_name("ipv6_trial.py")


@pytest.fixture(scope="module", params=["scapy", "ebpf"])
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    try:
        engines.require(request.param)
    except EngineError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp(request.param)
    command = sandboxed(sys.executable, str(TRIAL), request.param, str(folder))
    done = subprocess.run(command, capture_output=True, text=True, timeout=patient(110), env=FROM_CHECKOUT)
    logs = "".join(log.read_text() for log in sorted(folder.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    result: dict[str, Any] = json.loads((folder / "results.json").read_text())
    result["engine"] = request.param
    return result


@pytest.mark.parametrize("method", SERVICES)
def test_clients_are_served(results: dict[str, Any], method: str) -> None:
    vip, _, _, name = SERVICES[method]
    client = "2001:db8::65" if vip == VIP else "203.0.113.101"
    transfers = results["transfers"][method]
    assert transfers["download"] == transfers["upload"] == ["0", "200", client, name]
    assert transfers["downloaded"]
    assert transfers["uploaded"]  # in a tunnel, the client has had to learn a smaller MTU
    assert transfers["datagram"][:3] == [name, "5000", digest(bytes(5000))]


def test_the_tools_show_it(results: dict[str, Any]) -> None:
    assert results["added"] == ""
    assert f"TCP  [{VIP}]:82 rr\n  -> [fd00::3]:82                 Tunnel  1 " in results["list"]
    assert f"-a -t [{VIP}]:80 -r [fd00::2]:8000 -m -w 1\n" in results["saved"]
    assert f"-a -t [{VIP}]:83 -r 192.0.2.3:83 -i -w 1 --tun-type ipip\n" in results["saved"]
    assert f" [{VIP}]:80  [fd00::2]:8000\n" in results["connections"]
    assert "forward by VS-NAT to fd00::2 over d-eth1, next hop fd00::2" in results["explained"]


def test_the_kernels_part(results: dict[str, Any]) -> None:
    """It answers neighbour discovery and pings for the VIP, and refuses ports without a service."""
    assert results["vip_is_at"] == results["director_is_at"]
    assert results["refused"] == "7"
    assert results["ping"]
    assert ("table ip6 lvs" in results["table"]) is (results["engine"] == "scapy")  # ebpf needs none
    assert results["left"] == ""


def test_nothing_went_wrong(results: dict[str, Any]) -> None:
    counters = results["counters"]
    assert (counters["failed"], counters["malformed"], counters["lost"]) == (0, 0, 0)
    assert counters["answered"] > 0  # packet too big


def test_the_program_forwards_what_it_can(results: dict[str, Any]) -> None:
    """More than the core, which has fragments and tunnels of two families."""
    counters = results["counters"]
    assert counters.get("forwarded_in_kernel", 0) > 1000 or results["engine"] == "scapy"


def test_interfaces_may_be_replaced(results: dict[str, Any]) -> None:
    served = {name: answer[1::2] for name, answer in results["replaced"].items()}
    assert served == {name: ["200", server] for name, (*_, server) in SERVICES.items()}
    before, after = (results[name] for name in ("counters", "counters after that"))
    assert (after["failed"], after["malformed"]) == (0, 0)
    in_kernel = after.get("forwarded_in_kernel", 0) - before.get("forwarded_in_kernel", 0)
    assert in_kernel > 100 or results["engine"] == "scapy"
