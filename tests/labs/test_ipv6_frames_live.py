"""IPv6 on real wires: the eBPF program does what kernel IPVS and the Scapy engine do with each frame.

LVS_FUZZ=1000000 sends that many more malformed ones, over both engines together.
"""

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
from oracle import ipv6_frames
from oracle.ipv6_packets import comparable
from tests.labs.support import FROM_CHECKOUT, sandboxed

TRIAL = Path(__file__).with_name("ipv6_frames_trial.py")


SHORTEST_TIMEOUT = 10  # seconds: CLOSE
ATTEMPTS = 3
MORE = int(os.environ.get("LVS_FUZZ", "0")) // 2


def played(engine: str) -> dict[str, Any]:
    """Timers are real here: a run so slow that connections expire in it is repeated."""
    command = sandboxed(sys.executable, str(TRIAL), engine, str(MORE))
    for _ in range(ATTEMPTS):
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patient(100 + MORE / 200), env=FROM_CHECKOUT
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        if found["took"] < SHORTEST_TIMEOUT:
            return found
    pytest.skip(f"the machine takes {found['took']:.0f} s for what has to be done in {SHORTEST_TIMEOUT}")


@pytest.fixture(scope="module")
def report() -> dict[str, dict[str, Any]]:
    """By engine."""
    try:
        engines.require("ebpf")
    except EngineError as missing:
        pytest.skip(str(missing))
    return {engine: played(engine) for engine in ("scapy", "ebpf")}


@pytest.mark.parametrize("engine", ["scapy", "ebpf"])
def test_the_answers_are_those_of_kernel_ipvs(report: dict[str, dict[str, Any]], engine: str) -> None:
    recording = ipv6_frames.read()
    listed = {probe.name for probe in ipv6_frames.sent() if probe.differs}
    different = []
    for ours, kernels in zip(report[engine]["recorded"], recording["frames"], strict=True):
        assert ours["name"] == kernels["name"]
        if ours["name"] not in listed and answers(ours) != answers(kernels):
            different.append(f"{ours['name']}: the kernel {answers(kernels)}, ours {answers(ours)}")
    assert not different, "\n".join(different)


def answers(exchange: dict[str, Any]) -> list[tuple[str, str]]:
    return [(side, comparable(bytes.fromhex(frame)).hex()) for side, frame in exchange["out"]]


@pytest.mark.parametrize("engine", ["scapy", "ebpf"])
def test_hashes_choose_as_in_kernel_ipvs(report: dict[str, dict[str, Any]], engine: str) -> None:
    chosen = [
        [client, int(vip.rpartition(":")[2]), server.rpartition(":")[0].strip("[]")]
        for protocol, client, vip, server, _ in report[engine]["chosen"]
        if protocol == "TCP"
    ]
    assert sorted(row for row in chosen if row[1] < 86) == ipv6_frames.read()["connections"]


@pytest.mark.parametrize("part", ["recorded", "scheduled", "odd", "damaged"])
def test_the_program_does_what_the_scapy_engine_does(report: dict[str, dict[str, Any]], part: str) -> None:
    ours, theirs = (report[engine][part] for engine in ("ebpf", "scapy"))
    for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        assert one == other, f"frame {number}"
    assert sum(bool(frame["out"]) for frame in ours) > len(ours) // 10


def test_both_have_the_same_connections_afterwards(report: dict[str, dict[str, Any]]) -> None:
    assert report["ebpf"]["tables"] == report["scapy"]["tables"]
    assert report["ebpf"]["engine"]["failed"] == report["scapy"]["engine"]["failed"] == 0
    assert report["ebpf"]["engine"]["forwarded_in_kernel"] > report["ebpf"]["engine"]["out"]


def test_malformed_frames_end_nothing(report: dict[str, dict[str, Any]]) -> None:
    for engine in ("scapy", "ebpf"):
        assert report[engine]["survived"] == {"failed": 0, "errors": 0, "served": 1}


def rows_of(tables: dict[str, Any]) -> list[list[str]]:
    """Connections, and templates without their state: the next director takes all of them as assured."""
    return [row[:4] if row[1].endswith(":0") else row for row in tables["connections"]]


def test_the_program_and_its_connections_outlive_the_director(report: dict[str, dict[str, Any]]) -> None:
    results = report["ebpf"]["next"]
    assert results["after"]["servers"] == results["before"]["servers"]
    after, before = (rows_of(results[when]) for when in ("after", "before"))
    assert after == before
    assert len(results["meanwhile"]) == 1
    assert results["meanwhile"] == results["then"]
    assert results["packets"] == 1  # since -Z
