"""A machine runs a command, passes its output on, and ends in time; here a shell stands in for it."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from labs.errors import Unable
from labs.wait import look_until
from vm import machine
from vm.kernel import Kernel
from vm.machine import Machine, TookTooLong

STAND_IN = """\
#!/bin/sh
echo "[    0.1] booting"
while [ "$1" != -- ]; do shift; done
exec sh -c "$2"
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    vng = tmp_path / "vng"
    vng.write_text(STAND_IN)
    vng.chmod(0o755)
    monkeypatch.setattr(machine, "_vng", lambda: vng)
    monkeypatch.setattr(machine, "_PREPARE", "")
    monkeypatch.setattr(machine, "has_kvm", lambda _machine: False)
    return Machine(Kernel(tmp_path / "kernel", "6.1"))


def run(stand_in: Machine, folder: Path, command: str, seconds: float = 30) -> int:
    return stand_in.run(["sh", "-c", command], folder, seconds)


def test_output_and_exit_code_come_back(
    stand_in: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(stand_in, tmp_path, "echo one; echo two >&2; exit 7") == 7
    assert capfd.readouterr().out == "one\ntwo\n"


def test_what_is_slow_is_given_time(
    stand_in: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(stand_in, tmp_path, 'echo "$LVS_PATIENCE"') == 0
    assert capfd.readouterr().out == f"{machine.SLOW}\n"


def test_what_takes_too_long_is_ended_and_its_last_words_are_told(stand_in: Machine, tmp_path: Path) -> None:
    with pytest.raises(TookTooLong, match="ended after 1 s; the last it said: waiting for a peer"):
        run(stand_in, tmp_path, "echo waiting for a peer; sleep 600", 1)


def test_a_machine_that_ends_early_says_how_far_it_came(stand_in: Machine, tmp_path: Path) -> None:
    stand_in_script = tmp_path / "vng"
    stand_in_script.write_text('#!/bin/sh\necho "[    0.1] Kernel panic"\n')
    with pytest.raises(Unable, match="Kernel panic"):
        run(stand_in, tmp_path, "true")


def test_the_command_line(stand_in: Machine, tmp_path: Path) -> None:
    line = stand_in.command(tmp_path, kvm=False)
    assert line[1:3] == ["--run", str(tmp_path / "kernel/boot/vmlinuz-6.1")]
    assert "--disable-kvm" in line
    assert f"--rwdir={tmp_path}" in line
    assert "--disable-kvm" not in stand_in.command(tmp_path, kvm=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces for processes take root")
def test_it_ends_when_whoever_started_it_is_killed(stand_in: Machine, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    starter = os.fork()
    if starter == 0:
        with contextlib.suppress(BaseException):
            run(stand_in, tmp_path, f"echo $$ > {alive}; exec sleep 6789", 600)
        os._exit(0)
    assert look_until(alive.exists, bool, 10)
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    assert not look_until(lambda: sleeping("6789"), lambda found: not found, 10)


def sleeping(seconds: str) -> list[Path]:
    """The processes that sleep so long."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended in this moment
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", seconds.encode()]:
                found.append(path)
    return found
