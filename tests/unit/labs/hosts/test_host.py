from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from labs.errors import BuildFailed
from labs.hosts.host import Daemon


def start(tmp_path: Path, code: str) -> Daemon:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=output, stderr=output
        )
    return Daemon("The clock", process, log)


def test_a_daemon_that_is_ready_is_waited_for(tmp_path: Path) -> None:
    daemon = start(tmp_path, "print('ready', flush=True); input()")
    daemon.wait(lambda: "ready" in daemon.log.read_text(), "its word")
    assert daemon.ended() == ""
    daemon.process.communicate(b"\n")


def test_a_daemon_that_ends_is_named_with_its_output(tmp_path: Path) -> None:
    daemon = start(tmp_path, "print('no springs')")
    with pytest.raises(BuildFailed, match=r"^The clock ended: no springs$"):
        daemon.wait(lambda: False, "its word")


def test_a_daemon_that_was_killed_is_named_with_the_signal(tmp_path: Path) -> None:
    daemon = start(tmp_path, "input()")
    daemon.process.kill()
    daemon.process.wait()
    assert daemon.ended() == "The clock ended by SIGKILL: "
