"""./inv bench with the direct path only: results in all forms, also of an interrupted run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labs.wait import patient

ROOT = Path(__file__).resolve().parents[2]
ASKED = ("--methods", "dr", "--only", "direct", "--figures", "packets,connections", "--seconds", "1")
MISSING = [name for name in ("iperf3", "wrk") if not shutil.which(name)]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {' '.join(MISSING)}")


def bench(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "tasks.py", "bench", *words],
        cwd=ROOT,
        env={**os.environ, "LVS_RUNS": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def kept(folder: Path) -> tuple[Path, dict[str, Any]]:
    (run,) = folder.glob("*-bench")
    return run, json.loads((run / "results.json").read_text())


def test_a_run_has_a_table_pictures_and_numbers(tmp_path: Path) -> None:
    done = bench(tmp_path, *ASKED, "--rounds", "2")
    output, _ = done.communicate(timeout=patient(60))
    assert done.returncode == 0, output
    run, results = kept(tmp_path)
    assert results["complete"]
    assert len([result for result in results["samples"] if result["figure"] == "packets"]) == 2
    assert {"table.md", "results.csv", "packets.png", "packets.svg"} <= {file.name for file in run.iterdir()}
    assert "VS-DR" in output
    assert str(run) in output


def test_an_interrupted_run_keeps_what_was_measured(tmp_path: Path) -> None:
    started = bench(tmp_path, *ASKED, "--rounds", "50")
    assert started.stdout
    for line in started.stdout:
        if "round 2 of 50: packets" in line:
            break
    os.killpg(started.pid, signal.SIGINT)  # as Ctrl-C does
    output, _ = started.communicate(timeout=patient(30))
    assert started.returncode == 130, output
    _, results = kept(tmp_path)
    assert not results["complete"]
    assert results["samples"]
    assert "Cut short" in output
