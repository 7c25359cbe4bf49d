"""The sandbox: namespaces of its own, an exit code that comes through, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from labs.errors import BuildFailed, Unable
from labs.machine import capabilities
from labs.network import sandbox
from labs.network.sandbox import run_in_sandbox

here = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt", "pid", "uts", "ipc")}


@pytest.fixture(autouse=True)
def _able() -> None:
    try:
        capabilities.require({})
    except Unable as missing:
        pytest.skip(str(missing))


def test_the_exit_code_comes_through() -> None:
    assert run_in_sandbox(lambda: 7) == 7


def test_ctrl_c_before_the_sandbox_exists_ends_it_quietly(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
    try:
        assert run_in_sandbox(lambda: 7) == 130
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_in_it_is_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> int:
        signal.raise_signal(signal.SIGINT)
        return 7

    assert run_in_sandbox(interrupted) == 130
    assert capfd.readouterr().err.startswith("\nInterrupted; ")


def test_the_sandbox_has_its_own_namespaces(tmp_path: Path) -> None:
    output_file = tmp_path / "told"

    def look() -> int:
        now = {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in here}
        same = [kind for kind in here if now[kind] == here[kind]]
        links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
        output_file.write_text(
            f"{same} {os.getpid()} {os.getuid()} {os.listdir('/run')} {len(links.splitlines())}"
        )
        return 0

    assert run_in_sandbox(look) == 0
    assert output_file.read_text() == "[] 1 0 ['home'] 1"


def test_an_error_becomes_its_sentence_and_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise BuildFailed("The moon is missing.")

    assert run_in_sandbox(fail) == BuildFailed.exit_code
    assert capfd.readouterr().err == "The moon is missing.\n"


def test_processes_in_the_sandbox_end_with_it() -> None:
    def leave_something() -> int:
        subprocess.Popen(["sleep", "4711.25"])
        return 0

    assert run_in_sandbox(leave_something) == 0
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert b"4711.25" not in process.read_bytes()
        except FileNotFoundError:
            continue


def test_missing_subordinate_ids_are_named_with_the_remedy(tmp_path: Path) -> None:
    table = tmp_path / "subuid"
    table.write_text("somebody:100000:65536\n")
    with pytest.raises(Unable, match="--add-subuids"):
        sandbox.subordinate_ids(str(table), 1000)


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        pytest.param(
            "somebody:100000:65536\n{me}:200000:4096", [(200000, 4096)], id="somebody else's before"
        ),
        pytest.param("{me}:100000\n{me}:abc:65536\n{me}:200000:4096:1\n{me}:7:8", [(7, 8)], id="odd lines"),
        pytest.param(
            "{me}:1:10\n{me}:100000:65536\n{me}:5:5", [(100000, 65536)], id="the largest of several"
        ),
        pytest.param("{me}:900:200", [(900, 100), (1001, 99)], id="the user's own id is within"),
        pytest.param("{me}:1000:5", [(1001, 4)], id="the user's own id is the first"),
        pytest.param("\n#\n:::\n  {me}:3:2  \n\xff", [(3, 2)], id="empty, comment, blanks"),
    ],
)
def test_which_subordinate_ids_are_used(tmp_path: Path, lines: str, parts: list[tuple[int, int]]) -> None:
    table = tmp_path / "subuid"
    table.write_text(lines.format(me=os.getuid()), encoding="latin-1")
    assert sandbox.subordinate_ids(str(table), 1000) == parts


@pytest.mark.parametrize("lines", ["{me}:1000:1", "{me}:-1:65536", "{me}:5:0", "{me}:\u0661:\u0661"])
def test_a_range_of_only_the_own_id_is_none(tmp_path: Path, lines: str) -> None:
    table = tmp_path / "subuid"
    table.write_text(lines.format(me=os.getuid()), encoding="utf-8")
    with pytest.raises(Unable, match="no ids"):
        sandbox.subordinate_ids(str(table), 1000)


def test_ids_belong_to_the_real_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    table = tmp_path / "subuid"
    table.write_text(f"somebody:100000:65536\n{os.getuid()}:200000:4096\n")
    assert sandbox.subordinate_ids(str(table), 1000) == [(200000, 4096)]


def test_an_unforeseen_error_is_a_sentence_and_a_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))

    def fail() -> int:
        raise ZeroDivisionError("by a moon")

    assert run_in_sandbox(fail) == 2
    output = capfd.readouterr().err
    [trace] = tmp_path.glob("error-*.txt")
    assert output == f"Internal error, ZeroDivisionError: by a moon: please report it, with {trace}.\n"
    assert "def fail" in trace.read_text() or "raise ZeroDivisionError" in trace.read_text()


@pytest.fixture
def machine_of_a_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As an ordinary user whom newuidmap refuses; the keeper's namespace of its own asks for it."""
    refusing = tmp_path / "newuidmap"
    refusing.write_text("#!/bin/sh\necho 'newuidmap: uid range [0-1) -> [0-1) not allowed' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("labs.hosts.environment.PATH", str(tmp_path))
    monkeypatch.setattr(sandbox, "subordinate_ids", lambda _table, _own: [(100000, 65536)])


@pytest.mark.usefixtures("machine_of_a_user")
def test_newuidmap_that_fails_is_a_sentence_and_leaves_no_keeper() -> None:
    with pytest.raises(Unable, match=r"newuidmap refuses .*not allowed.*sudo"):
        run_in_sandbox(lambda: 0)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
