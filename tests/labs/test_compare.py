"""A comparison, complete and cut short: what was measured is kept, and what is missing is reported."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from compare.dispatch.approaches import PROGRAMS
from compare.dispatch.outcome import Outcome
from compare.results import Journal
from labs.methods import METHODS
from labs.wait import patient, poll_until
from tests.labs.forked import run_forked
from tests.labs.support import FROM_CHECKOUT

Start = Callable[..., "subprocess.Popen[str]"]
ROOT = Path(__file__).resolve().parents[2]
QUICK = ("compare", "--quick")  # as docs/comparison.md shows it
TEN = (*QUICK, "--methods", "nat", "--servers", "10")


def folder_in(output: str) -> Path:
    """Where a comparison says that it keeps things."""
    return Path(output.partition("kept in ")[2].split()[0])


def kept(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "compare.json").read_text())
    return result


def test_a_quick_comparison_is_whole(start: Start, mark: str) -> None:
    output, _ = (process := start(*QUICK, mark=mark)).communicate(timeout=patient(180))
    assert process.returncode == 0, output
    folder = folder_in(output)
    result = kept(folder)
    points = [(point["method"], point["servers"]) for point in result["points"]]
    assert points == list(product(METHODS, (1, 5, 10, 20)))
    assert result["missing"] == []
    one, _, ten, _ = (point for point in result["points"] if point["method"] == "nat")
    assert one["limited_by"] == "the servers' links"
    assert 0.85 < one["delivered"] / 25_000 < 1.05  # what the warm-up has queued arrives in its 1.6 s
    assert 1 < ten["director_out"] / ten["delivered"] < 1.3  # replies pass the director
    found = [finding for finding in result["findings"] if finding["method"] == "nat"]
    assert {finding["question"]: finding["works"] for finding in found} == {
        "changes on the server": True,
        "near": True,
        "without a tunnel device": True,
        "without ARP control": True,
        "in another network": True,
        "in another network, without ARP control": True,
    }
    assert {"compare.html", "compare.csv", "scaling.png", "scaling.svg"} <= {
        file.name for file in folder.iterdir()
    }


def until_points(process: subprocess.Popen[str]) -> Path:
    """Wait for the first point of a comparison; its folder."""
    assert process.stdout is not None
    folder = folder_in(process.stdout.readline())
    journal = Journal(folder / "measured.jsonl")
    assert poll_until(lambda: list(journal.all("point")), bool, 40)
    return folder


def test_an_interrupted_comparison_keeps_its_points(start: Start, mark: str) -> None:
    process = start(*TEN, mark=mark)
    folder = until_points(process)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=patient(30))
    assert process.returncode == 130, output
    result = kept(folder)
    measured = [point["servers"] for point in result["points"]]
    assert measured in ([1], [1, 5])  # what came before Ctrl-C
    left = [f"VS-NAT, {servers} servers" for servers in (5, 10) if servers not in measured]
    assert [gap["what"] for gap in result["missing"]][: len(left)] == left
    assert result["knees"]["nat"] is None
    assert f"Not measured: {left[0]} (the run was cut short before)" in output


def test_a_killed_comparison_can_still_be_shown(start: Start, mark: str) -> None:
    process = start(*TEN, mark=mark)
    folder = until_points(process)
    process.kill()
    process.communicate(timeout=patient(30))
    again = start("compare", "--show", str(folder), mark=mark)
    output, _ = again.communicate(timeout=patient(30))
    assert again.returncode == 1, output
    assert 1 <= len(kept(folder)["points"]) < 3
    assert "Not measured: VS-NAT, 10 servers" in output


def test_a_dead_server_and_a_cut_cable_are_reported_and_the_rest_is_measured(tmp_path: Path) -> None:
    trial = ROOT / "tests" / "labs" / "compare_trial.py"
    done = run_forked(trial, (str(tmp_path),), FROM_CHECKOUT, 60)
    assert done.returncode == 0, done.stdout + done.stderr
    whole, broken = json.loads((tmp_path / "points.json").read_text())
    assert whole["troubles"] == []
    assert broken["troubles"] == ["the httpd of rs2 has ended", "the link of rs3-eth0 has failed"]
    assert broken["failed"] > 0
    assert broken["delivered"] < 0.6 * whole["delivered"]


def dispatched(approach: str, folder: Path) -> Outcome:
    missing = [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    trial = ROOT / "tests" / "labs" / "dispatch_trial.py"
    done = run_forked(trial, (approach, str(folder)), FROM_CHECKOUT, 60)
    assert done.returncode == 0, done.stdout + done.stderr
    return Outcome.from_dict(json.loads((folder / "outcome.json").read_text()))


def test_resolvers_that_cache_send_most_clients_to_one_server(tmp_path: Path) -> None:
    dns = dispatched("dns", tmp_path)
    assert dns.busiest > 0.4
    assert dns.failed_before == 0
    assert dns.sees_client


def test_a_proxy_spreads_evenly_hides_the_client_and_drops_a_dead_server(tmp_path: Path) -> None:
    proxy = dispatched("proxy", tmp_path)
    assert proxy.busiest < 0.3
    assert proxy.visitors == ("203.0.113.2",)
    assert not proxy.sees_client
    assert proxy.failed_out == 0


def test_a_director_keeps_sending_a_quarter_to_a_dead_server(tmp_path: Path) -> None:
    director = dispatched("dr", tmp_path)
    assert director.sees_client
    assert director.failed_before == 0
    assert 0.1 < director.failed_dead < 0.4
    assert director.failed_out < 0.1 < director.failed_dead


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--servers", "500"), "--servers 500"),
        (("--methods", "nat,ip"), "--methods nat,ip"),
        (("--show", "/nowhere"), "--show /nowhere"),
    ],
)
def test_a_bad_option_ends_with_2(start: Start, arguments: tuple[str, ...], says: str) -> None:
    output, _ = (process := start("compare", *arguments)).communicate(timeout=patient(30))
    assert process.returncode == 2
    assert says in output
    assert "Traceback" not in output
