"""The sandbox: namespaces of its own, an exit code that comes through, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labs import capabilities, sandbox
from labs.errors import BuildFailed, Unable
from labs.sandbox import run_in_sandbox

here = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt", "pid", "uts", "ipc")}


@pytest.fixture(autouse=True)
def _able() -> None:
    try:
        capabilities.require({})
    except Unable as missing:
        pytest.skip(str(missing))


def test_the_exit_code_comes_through() -> None:
    assert run_in_sandbox(lambda: 7) == 7


def test_everything_in_it_is_its_own(tmp_path: Path) -> None:
    told = tmp_path / "told"

    def look() -> int:
        now = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in here}
        same = [kind for kind in here if now[kind] == here[kind]]
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        told.write_text(f"{same} {os.getpid()} {os.getuid()} {os.listdir('/run')} {len(links.splitlines())}")
        return 0

    assert run_in_sandbox(look) == 0
    assert told.read_text() == "[] 1 0 [] 1"


def test_an_error_becomes_its_sentence_and_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise BuildFailed("The moon is missing.")

    assert run_in_sandbox(fail) == BuildFailed.exit_code
    assert capfd.readouterr().err == "The moon is missing.\n"


def test_what_is_started_in_it_ends_with_it() -> None:
    def leave_something() -> int:
        subprocess.Popen(["sleep", "4711.25"])
        return 0

    assert run_in_sandbox(leave_something) == 0
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"4711.25" not in process.read_bytes()
        except FileNotFoundError:
            continue


def test_no_subordinate_ids_is_said_with_the_cure(tmp_path: Path) -> None:
    table = tmp_path / "subuid"
    table.write_text("somebody:100000:65536\n")
    with pytest.raises(Unable, match="--add-subuids"):
        sandbox.subordinate_range(str(table))


def test_the_own_line_of_subordinate_ids_is_found(tmp_path: Path) -> None:
    table = tmp_path / "subuid"
    table.write_text(f"somebody:100000:65536\n{os.getuid()}:200000:4096\n")
    assert sandbox.subordinate_range(str(table)) == (200000, 4096)
