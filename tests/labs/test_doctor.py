"""The doctor in running labs: healthy ones, ones with faults of the catalogue, and asked from outside.

In every run a few faults, always the same. With LVS_LONG (./inv test --long), also a fault of every cause in
each method, and sixty faults drawn at random: the doctor names host and cause of 95 in 100, the host of all.
Each time its repair is carried out as printed, and the lab is then healthy.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from director import engines
from director.engines.engine import EngineError
from labs.plan import plan_for
from labs.run.control_server import SOCKET
from labs.run.options import LabOptions
from labs.wait import patient, poll_until
from tests.conftest import LONG
from tests.labs.fault_drawing import draw, fill, hosts, kinds_for
from tests.labs.faults import METHODS, Fault
from tests.labs.forked import run_forked
from tests.labs.support import FROM_CHECKOUT

TRIAL = Path(__file__).parent / "doctor_trial.py"
ALWAYS = {  # a few kinds, and the variant
    "nat": [("rule for a wrong port", 0), ("httpd stopped", 0), ("all servers quiesced", 0)],
    "tun": [("tunnel filtered on a server", 0), ("no route on the router", 0)],
    "dr": [("RIP twice", 0), ("link down", 0), ("a filter that the engine bypasses", 1)],
}
DRAWN = 20  # for each method
RIGHT = 0.95
FASTEST = 5.0  # seconds on an idle machine

Report = dict[str, Any]
_long = pytest.mark.skipif(not LONG, reason="takes minutes: ./inv test --long")
_LONGEST = 3600  # seconds
_minutes = pytest.mark.timeout(_LONGEST)


def tried(method: str, engine: str, faults: Iterable[Fault], runs: Path) -> list[Report]:
    """What doctor_trial.py tells of these faults; the healthy lab comes first."""
    try:
        engines.require(engine)
    except EngineError as missing:
        pytest.skip(str(missing))
    environment = {**FROM_CHECKOUT, "LVS_RUNS": str(runs)}
    typed = "\n".join(json.dumps(fault.as_dict()) for fault in faults)
    done = run_forked(TRIAL, (method, engine), environment, _LONGEST, text=typed)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def found(examined: Report) -> list[tuple[str, str]]:
    return [(cause, host) for cause, host, *_ in examined["causes"]]


def expected(report: Report) -> list[tuple[str, str]]:
    """Host and cause; nothing where nothing is hurt."""
    cause, host = report["expected"]
    return [(cause, host)] if cause else []


def hosts_named(report: Report) -> set[str]:
    """By the causes, or without any by the place where packets are lost."""
    return {host for _, host in found(report["broken"])} or set(report["broken"]["located"])


def examined(reports: Iterable[Report]) -> list[Report]:
    stages = ("broken", "repaired", "healthy")
    return [report[stage] for report in reports for stage in stages if stage in report]


def check_found(reports: Iterable[Report]) -> None:
    """Host and cause, and the exit code: 0 where nothing is hurt; every wrong report is shown."""
    wrong = [report for report in reports if not is_right(report)]
    assert not wrong, "\n".join(map(str, wrong))


def is_right(report: Report) -> bool:
    cause, host = report["expected"]
    broken = report["broken"]
    right = found(broken) == expected(report) and hosts_named(report) == {host} - {""}
    return right and broken["code"] == bool(cause)


def check_healthy(reports: Iterable[Report]) -> None:
    """Repaired as printed, and when everything is undone, clients are served and nothing is found."""
    wrong = [
        report for report in reports for stage in ("repaired", "healthy") if not is_healthy(report, stage)
    ]
    assert not wrong, "\n".join(map(str, wrong))


def is_healthy(report: Report, stage: str) -> bool:
    then = report.get(stage, {"causes": [], "failures": [], "code": 0})
    return bool((then["causes"], then["failures"], then["code"]) == ([], [], 0))


def check_form(reports: Iterable[Report]) -> None:
    """All hosts could be read, in time, and the state survives JSON."""
    for report in examined(reports):
        assert report["same"]
        assert report["unread"] == {}
        assert report["seconds"] < patient(FASTEST), report


def plan_of(method: str, engine: str = "scapy") -> Any:
    return plan_for(method, LabOptions(engine=engine, scheduler="rr"))


def always(method: str) -> list[Fault]:
    plan, possible = plan_of(method), list(kinds_for(method))
    named = [
        [fault for fault in possible if fault[0].name == name][number] for name, number in ALWAYS[method]
    ]
    return [fill(plan, kind, variant, hosts(plan, role)[0]) for kind, variant, role in named]


@pytest.mark.parametrize("method", METHODS)
def test_a_fault_is_found_and_its_repair_repairs(method: str, runs: Path) -> None:
    reports = tried(method, "scapy", always(method), runs)
    check_found(reports[1:])
    check_healthy(reports)
    check_form(reports)


@pytest.mark.parametrize("method", METHODS if LONG else ["dr"])
def test_a_healthy_lab_over_ebpf_has_no_cause(method: str, runs: Path) -> None:
    check_healthy(tried(method, "ebpf", [], runs))


@_long
@_minutes
@pytest.mark.parametrize("engine", ["scapy", "ebpf"])
@pytest.mark.parametrize("method", METHODS)
def test_every_cause_and_its_repair(method: str, engine: str, runs: Path) -> None:
    plan = plan_of(method, engine)
    faults: dict[str, Fault] = {}
    for kind, variant, role in kinds_for(method, engine):
        faults.setdefault(kind.cause or kind.name, fill(plan, kind, variant, hosts(plan, role)[0]))
    reports = tried(method, engine, faults.values(), runs)
    check_found(reports[1:])
    check_healthy(reports)
    check_form(reports)


@_long
@_minutes
@pytest.mark.parametrize("method", METHODS)
def test_faults_drawn_by_chance(method: str, seed: int, runs: Path) -> None:
    faults = draw(plan_of(method), "scapy", random.Random(seed), DRAWN)
    reports = tried(method, "scapy", faults, runs)[1:]
    astray = [report for report in reports if hosts_named(report) != {report["expected"][1]} - {""}]
    wrong = [report for report in reports if found(report["broken"]) != expected(report)]
    print(f"seed {seed}, {method}: {len(reports) - len(astray)} of {len(reports)} hosts are right, ", end="")
    print(f"{len(reports) - len(wrong)} causes")
    assert astray == [], f"seed {seed}"
    assert len(wrong) <= (1 - RIGHT) * len(reports), f"seed {seed}: {wrong}"
    check_healthy(reports)
    check_form(reports)


def inv(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As typed in another terminal."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *arguments],
        cwd=FROM_CHECKOUT["PYTHONPATH"],
        env={**os.environ, "LVS_RUNS": str(folder)},
        capture_output=True,
        text=True,
        timeout=patient(60),
    )


def test_a_running_lab_is_examined_from_outside(tmp_path: Path) -> None:
    """Its prompt reads from a pipe meanwhile, and answers on every host. It has both IP versions."""
    lab = subprocess.Popen(
        [sys.executable, "-m", "invoke", "lab-nat", "--family", "46", "--cli"],
        cwd=FROM_CHECKOUT["PYTHONPATH"],
        env={**os.environ, "LVS_RUNS": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert poll_until(lambda: list(tmp_path.glob(f"*/{SOCKET}")), bool, 60)
        well = inv(tmp_path, "doctor")
        assert (well.returncode, well.stdout.count("Nothing wrong was found")) == (0, 2), well.stdout
        assert inv(tmp_path, "shell", "rs1", "--command", "ip -6 route del default").returncode == 0
        ill = inv(tmp_path, "doctor")
        about_ipv4, _, about_ipv6 = ill.stdout.partition("IPv6:")
        assert (ill.returncode, "no_gateway" in about_ipv6) == (1, True), ill.stdout + ill.stderr
        assert "Nothing wrong was found" in about_ipv4
        assert inv(tmp_path, "shell", "rs1", "--command", "ip route del default").returncode == 0
        assert "no_gateway" in inv(tmp_path, "doctor").stdout.partition("IPv6:")[0]
    finally:
        typed = "d ippfvsadm -L\nrs1 ip -color=never -brief address show rs1-eth0\nexit\n"
        output, _ = lab.communicate(typed, timeout=patient(60))
    assert lab.returncode == 0, output
    after = output.partition("PASSED")[2]
    assert "172.16.0.3" in after
    assert "172.16.0.2/24" in after
    assert "The labs can run here" in inv(tmp_path, "doctor").stdout
