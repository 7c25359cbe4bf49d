"""A machine runs a command, passes its output on, and ends in time; here a shell stands in for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.errors import Unable
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
