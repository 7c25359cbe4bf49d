"""lab-ha: servers and directors fail in a running lab, and its report has what was measured."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.labs.support import Finished

RunLab = Callable[..., Finished]
CONNECTIONS = ["keep-alive", "keep-alive", "download", "download", "ftp control", "ftp data"]
LONG = pytest.mark.skipif(not os.environ.get("LVS_LONG"), reason="takes minutes: ./inv test --long")


@pytest.fixture(scope="module")
def seen(run_lab: RunLab) -> Finished:
    """The lab as a student starts it, but for shorter waits."""
    return run_lab("lab-ha", "--advert-interval", "500")


def test_it_passes_every_check(seen: Finished) -> None:
    assert seen.code == 0, seen.output
    assert seen.report["ok"]
    assert (seen.report["lab"], seen.report["engine"]) == ("lab-ha", "scapy")


def test_the_vip_moves_and_comes_back(seen: Finished) -> None:
    moves = [(one["what"], one["before"], one["after"]) for one in seen.report["failures"]]
    assert moves == [("killed", "d1", "d2"), ("back", "d2", "d1")]


def test_every_connection_lives(seen: Finished) -> None:
    for failure in seen.report["failures"]:
        assert [one["kind"] for one in failure["connections"]] == CONNECTIONS
        assert {one["result"] for one in failure["connections"]} == {""}


# ---- the rest, with --long ----


def failures(run: Finished) -> dict[str, dict[str, Any]]:
    assert run.code == 0, run.output
    return {f"{one['director']} {one['what']}": one for one in run.report["failures"]}


@LONG
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_every_failure(run_lab: RunLab, method: str) -> None:
    run = run_lab("lab-ha", "--method", method, "--every-failure", timeout=300)
    assert len(failures(run)) == 10
    assert sum(check["name"].endswith("back in service") for check in run.report["checks"]) == 5


@LONG
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_without_synchronisation_no_connection_lives(run_lab: RunLab, method: str) -> None:
    run = run_lab("lab-ha", "--method", method, "--no-sync", "--advert-interval", "500", timeout=200)
    assert all(one["result"] for failure in failures(run).values() for one in failure["connections"])


@LONG
@pytest.mark.parametrize("method", ["nat", "tun", "dr"])
def test_the_program_in_the_kernel(run_lab: RunLab, method: str) -> None:
    if os.geteuid():
        pytest.skip("the ebpf engine needs root")
    failures(run_lab("lab-ha", "--method", method, "--engine", "ebpf", timeout=200))
