"""The three complete labs: healthy, they pass every check; broken, they fail the right one."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from director.core import schedulers
from labs.wait import patient
from tests.labs.support import Finished

RunLab = Callable[..., Finished]
LABS = ("lab-nat", "lab-tun", "lab-dr")
ROOT = Path(__file__).resolve().parents[2]
DOCUMENTED = (ROOT / "README.md").read_text()


@pytest.fixture(scope="module", params=LABS)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Each lab run once, by the command that the documentation gives."""
    runs = tmp_path_factory.mktemp(request.param)
    done = subprocess.run(
        [ROOT / "inv", request.param],
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(runs)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patient(120),
    )
    reports = [json.loads(file.read_text()) for file in runs.glob("*/report.json")]
    return Finished(done.returncode, done.stdout, reports[0] if reports else {})


def test_a_healthy_lab_passes_every_check(seen: Finished) -> None:
    assert seen.code == 0, seen.output
    assert seen.report["ok"]
    assert seen.failed == []
    assert "PASSED" in seen.output


def test_the_report_has_the_documented_fields(seen: Finished) -> None:
    report = seen.report
    lab = report["lab"]
    assert {"lab", "engine", "ok", "seconds", "servers", "checks", "packets"} <= report.keys()
    assert f"./inv {lab}" in DOCUMENTED
    assert report["seconds"]["total"] > 0
    assert [set(server) >= {"name", "address", "weight", "connections"} for server in report["servers"]] == [
        True
    ] * 3
    assert all(server["connections"] > 0 for server in report["servers"])
    columns = {"packet", "source", "dest"}
    columns |= {"lab-tun": {"outer_source", "outer_dest"}, "lab-dr": {"source_mac", "dest_mac"}}.get(
        lab, set()
    )
    assert columns <= {column for row in report["packets"] for column in row}
    assert len(report["packets"]) == {"lab-nat": 4, "lab-tun": 4, "lab-dr": 3}[lab]


NO_VIP = "ip addr del 203.0.113.1/32 dev "
ARP, BALANCE = "only the director answers ARP", "wrr"


@pytest.mark.parametrize(
    ("lab", "host", "broken", "fails", "passes"),
    [
        pytest.param(
            "lab-nat", "rs1", "ip route del default", BALANCE, ARP, id="NAT: a server without gateway"
        ),
        pytest.param(
            "lab-dr",
            "rs1",
            "for i in all rs1-eth0; do echo 0 > /proc/sys/net/ipv4/conf/$i/arp_ignore; done",
            ARP,
            "",
            id="DR: ARP not silenced",
        ),
        pytest.param(
            "lab-dr", "rs2", "ip addr del 203.0.113.1/32 dev lo", BALANCE, ARP, id="DR: VIP missing"
        ),
        pytest.param(
            "lab-tun", "rs3", "ip addr del 203.0.113.1/32 dev tunl0", BALANCE, ARP, id="TUN: VIP missing"
        ),
        pytest.param("lab-nat", "d", "ippfvsadm -C", BALANCE, ARP, id="NAT: no rules"),
    ],
)
def test_a_broken_lab_fails_the_right_check(
    run_lab: RunLab, lab: str, host: str, broken: str, fails: str, passes: str
) -> None:
    run = run_lab(lab, faults={host: broken}, checks="only_director_answers, as_scheduled")
    assert run.code == 1, run.output
    assert run.report.get("ok") is False, run.output
    assert not run.check(fails)["ok"], run.output
    if passes:
        assert run.check(passes)["ok"], run.output


def test_a_director_that_dies_is_a_failed_check_and_the_report_stays(run_lab: RunLab) -> None:
    kill = "kill -9 $(pgrep -f '[p]ython.* lvs-director ')"
    run = run_lab("lab-dr", faults={"d": kill}, checks="only_director_answers")
    assert run.code == 1, run.output
    assert run.failed == ["the director is still running"], run.output


@pytest.mark.parametrize(("lab", "scheduler"), list(zip(cycle(LABS), schedulers.names(), strict=False)))
def test_every_scheduler_does_what_it_is_for(run_lab: RunLab, lab: str, scheduler: str) -> None:
    run = run_lab(lab, "--scheduler", scheduler, checks="as_scheduled")
    assert run.code == 0, run.output
    assert run.check(f"{scheduler} spreads")["ok"]


def test_the_controller_runs_on_os_ken_as_well(run_lab: RunLab) -> None:
    run = run_lab("lab-dr", "--controller", "os-ken")
    assert run.code == 0, run.output


def test_iproute2_builds_the_same_lab(run_lab: RunLab) -> None:
    run = run_lab("lab-tun", "--dialect", "iproute2")
    assert run.code == 0, run.output


def test_one_server_is_a_lab(run_lab: RunLab) -> None:
    run = run_lab("lab-nat", "--servers", "1")
    assert run.code == 0, run.output


def test_the_prompt_answers_on_every_host(start: Callable[..., subprocess.Popen[str]]) -> None:
    lab = start("lab-dr", "--cli", typed=True)
    output, _ = lab.communicate(
        "d ippfvsadm -L\nrs1 ip -color=never -brief address show lo\nexit\n", timeout=patient(60)
    )
    assert lab.returncode == 0, output
    after = output.partition("PASSED")[2]
    assert "203.0.113.12" in after
    assert "203.0.113.1/32" in after


def test_two_labs_at_once_do_not_interfere(start: Callable[..., object], run_lab: RunLab) -> None:
    other = start("lab-nat")
    run = run_lab("lab-nat")
    output, _ = other.communicate(timeout=patient(120))  # type: ignore[attr-defined]
    assert run.code == 0, run.output
    assert other.returncode == 0, output  # type: ignore[attr-defined]
