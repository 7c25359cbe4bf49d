"""lab-ha: servers and directors fail in a running lab, and its report has what was measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import LONG
from tests.labs.forked import run_forked
from tests.labs.ha_doctor_trial import FAULTS
from tests.labs.support import FROM_CHECKOUT, Finished

RunLab = Callable[..., Finished]
CONNECTIONS = ["keep-alive", "keep-alive", "download", "download", "ftp control", "ftp data"]
TRIAL = Path(__file__).with_name("ha_doctor_trial.py")
_long = pytest.mark.skipif(not LONG, reason="takes minutes: ./inv test --long")


@pytest.fixture(scope="module")
def run(run_lab: RunLab) -> Finished:
    """The lab as a student starts it, but for shorter waits."""
    return run_lab("lab-ha", "--advert-interval", "500")


def test_it_passes_every_check(run: Finished) -> None:
    assert run.code == 0, run.output
    assert run.report["ok"]
    assert (run.report["lab"], run.report["engine"]) == ("lab-ha", "scapy")


def test_the_vip_moves_and_comes_back(run: Finished) -> None:
    moves = [(failure["what"], failure["before"], failure["after"]) for failure in run.report["failures"]]
    assert moves == [("killed", "d1", "d2"), ("back", "d2", "d1")]


def test_every_connection_lives(run: Finished) -> None:
    _every_connection_lives(run)


def _every_connection_lives(run: Finished) -> None:
    for failure in run.report["failures"]:
        assert [connection["kind"] for connection in failure["connections"]] == CONNECTIONS
        assert {connection["result"] for connection in failure["connections"]} == {""}


def test_in_ipv6(run_lab: RunLab) -> None:
    """As the switches see it by neighbour discovery; the first check fills the router's neighbour table."""
    checks = "as_scheduled, failures.director_killed"
    run = run_lab("lab-ha", "--family", "6", "--advert-interval", "300", checks=checks)
    assert run.code == 0, run.output
    (killed,) = run.report["failures"]
    assert (killed["what"], killed["before"], killed["after"]) == ("killed", "d1", "d2")
    assert run.report["family"] == 6
    _every_connection_lives(run)


# ---- the doctor ----


@pytest.mark.parametrize(
    ("names", "family"),
    [
        ("two_masters", "4"),
        pytest.param(",".join(FAULTS), "4", marks=_long),
        pytest.param(",".join(FAULTS), "6", marks=_long),
    ],
    ids=["two masters", "all", "all in IPv6"],
)
def test_the_doctor_finds_what_is_wrong_with_two_directors(runs: Path, names: str, family: str) -> None:
    environment = {**FROM_CHECKOUT, "LVS_RUNS": str(runs)}
    done = run_forked(TRIAL, (names, "", family), environment, 300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    healthy, *tried = map(json.loads, done.stdout.splitlines())
    assert healthy["repaired"]["causes"] == []
    for report in tried:
        assert {cause for cause, *_ in report["broken"]["causes"]} == {report["name"]}, report
        assert report["complaints"] == [], report
        assert report["repaired"]["code"] == 0, report
    assert [report["name"] for report in tried] == names.split(",")


# ---- the rest, with --long ----


def failures(run: Finished) -> dict[str, dict[str, Any]]:
    assert run.code == 0, run.output
    return {f"{failure['director']} {failure['what']}": failure for failure in run.report["failures"]}


@_long
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_every_failure(run_lab: RunLab, method: str) -> None:
    run = run_lab("lab-ha", "--method", method, "--every-failure", timeout=300)
    assert failures(run)
    assert len(run.report["failures"]) == 10  # two of them are called "back"
    assert sum(check["name"].endswith("back in service") for check in run.report["checks"]) == 5


@_long
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_without_synchronisation_no_connection_lives(run_lab: RunLab, method: str) -> None:
    run = run_lab("lab-ha", "--method", method, "--no-sync", "--advert-interval", "500", timeout=200)
    assert all(
        connection["result"] for failure in failures(run).values() for connection in failure["connections"]
    )


@_long
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_heartbeat_moves_the_vip(run_lab: RunLab, method: str) -> None:
    options = ("--takeover", "heartbeat", "--advert-interval", "300")
    every = ["--every-failure"] if method == "nat" else []
    moves = failures(run_lab("lab-ha", "--method", method, *options, *every, timeout=300))
    assert (moves["d1 killed"]["before"], moves["d1 killed"]["after"]) == ("d1", "d2")
    assert (moves["d1 back"]["before"], moves["d1 back"]["after"]) == ("d2", "d1")


@_long
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_the_program_in_the_kernel(run_lab: RunLab, method: str) -> None:
    if os.geteuid():
        pytest.skip("the ebpf engine needs root")
    failures(run_lab("lab-ha", "--method", method, "--engine", "ebpf", timeout=200))
