"""A machine runs a command, passes on its output, and ends in time; a shell stands in for it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from labs.errors import Unable
from labs.wait import poll_until
from vm import pace, virtual_machine
from vm.kernel_packages import Kernel
from vm.virtual_machine import Machine, TookTooLong

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
    monkeypatch.setattr(virtual_machine, "_vng", lambda: vng)
    monkeypatch.setattr(virtual_machine, "_PREPARE", "")
    monkeypatch.setattr(virtual_machine, "has_kvm", lambda _machine, _folder: False)
    return Machine(Kernel(tmp_path / "kernel", "6.1"))


def run(stand_in: Machine, folder: Path, command: str, seconds: float = 30) -> int:
    return stand_in.run(["sh", "-c", command], folder, seconds)


def test_output_and_exit_code_are_passed_on(
    stand_in: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(stand_in, tmp_path, "echo one; echo two >&2; exit 7") == 7
    assert capfd.readouterr().out == "one\ntwo\n"


def test_an_emulated_machine_gets_more_time(
    stand_in: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(stand_in, tmp_path, 'echo "$LVS_PATIENCE"') == 0
    assert capfd.readouterr().out == f"{pace.MIN_PATIENCE}\n"


def test_a_timeout_ends_the_machine_and_shows_its_last_output(stand_in: Machine, tmp_path: Path) -> None:
    with pytest.raises(
        TookTooLong, match="after 1 s, the limit for the command; last output: waiting for a peer"
    ):
        run(stand_in, tmp_path, "echo waiting for a peer; sleep 600", 1)


def test_a_machine_that_ends_early_shows_its_last_output(stand_in: Machine, tmp_path: Path) -> None:
    begun = f"touch {tmp_path / 'vm.begun'}"
    (tmp_path / "vng").write_text(f'#!/bin/sh\n{begun}\necho "[    9.1] Out of memory"\n')
    with pytest.raises(Unable, match="Out of memory"):
        run(stand_in, tmp_path, "true")


def dies(stand_in: Machine, folder: Path, times: int, then: str) -> int:
    """Run a command in a machine whose first `times` boots fail."""
    (folder / "booting").write_text(STAND_IN)
    (folder / "vng").write_text(
        f"#!/bin/sh\necho x >> {folder}/boots\n"
        f'[ $(wc -l < {folder}/boots) -gt {times} ] && exec sh {folder}/booting "$@"\n'
        f'echo "[    0.088] Call Trace:"; echo "[    0.088] {then}"\n'
    )
    return run(stand_in, folder, "exit 7")


@pytest.mark.parametrize("then", ["---[ end trace ]---", 'Kernel panic - not syncing"; exec sleep "6790'])
def test_a_failed_boot_is_shown_and_repeated(
    stand_in: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str], then: str
) -> None:
    assert dies(stand_in, tmp_path, 2, then) == 7
    printed = capfd.readouterr().err
    assert "Boot 1 of 3 failed" in printed
    assert "Boot 2 of 3 failed" in printed
    assert "[    0.088] Call Trace:" in printed
    assert not sleeping("6790")


def test_a_machine_that_never_boots_is_given_up(stand_in: Machine, tmp_path: Path) -> None:
    with pytest.raises(Unable, match=r"died 3 times while booting .*0\.088"):
        dies(stand_in, tmp_path, 3, "end trace")
    assert (tmp_path / "boots").read_text() == "x\n" * 3


def test_a_boot_that_hangs_is_ended(
    stand_in: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_machine, "BOOT_TIMEOUT", 1)
    (tmp_path / "vng").write_text('#!/bin/sh\necho "[    0.1] waiting"; exec sleep 600\n')
    with pytest.raises(TookTooLong, match=r"\d s, the limit for a boot; last output: .*waiting"):
        run(stand_in, tmp_path, "true")


def test_output_is_passed_on_while_the_command_runs(
    stand_in: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command waits until its first line has been seen; a character may arrive in two pieces."""
    script = (
        f"printf 'f\\303'; sleep 1; printf '\\274r\\n'; while [ ! -e {tmp_path}/seen ]; do sleep 0.1; done"
    )
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)

    def wait() -> None:
        if "für\n" in poll_until(shown.getvalue, lambda text: "\n" in text, 20):
            (tmp_path / "seen").touch()

    watcher = threading.Thread(target=wait)
    watcher.start()
    assert run(stand_in, tmp_path, script) == 0
    watcher.join()
    assert shown.getvalue() == "für\n"


def test_the_command_line(stand_in: Machine, tmp_path: Path) -> None:
    line = stand_in.command(tmp_path, kvm=False)
    assert line[1:3] == ["--run", str(tmp_path / "kernel/boot/vmlinuz-6.1")]
    assert "--disable-kvm" in line
    assert line[line.index("--append") + 1] == "no_timer_check"
    assert f"--rwdir={tmp_path}" in line
    assert "--disable-kvm" not in stand_in.command(tmp_path, kvm=True)


@pytest.mark.parametrize("namespaces", [True, False])
def test_the_machine_ends_when_its_starter_is_killed(
    stand_in: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespaces: bool
) -> None:
    """With a PID namespace, and where the user may not have one."""
    if not namespaces:
        monkeypatch.setattr(virtual_machine, "_namespace", lambda: ())
    alive = tmp_path / "alive"
    starter = os.fork()
    if starter == 0:
        with contextlib.suppress(BaseException):
            run(stand_in, tmp_path, f"echo $$ > {alive}; exec sleep 6789", 600)
        os._exit(0)
    assert poll_until(alive.exists, bool, 10)
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    assert not poll_until(lambda: sleeping("6789"), lambda found: not found, 10)


def sleeping(seconds: str) -> list[Path]:
    """Processes that run `sleep` with this argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended in this moment
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", seconds.encode()]:
                found.append(path)
    return found


@pytest.mark.parametrize("namespaces", [True, False])
def test_no_process_is_left_when_the_machine_has_ended(
    stand_in: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespaces: bool
) -> None:
    if not namespaces:
        monkeypatch.setattr(virtual_machine, "_namespace", lambda: ())
    assert run(stand_in, tmp_path, "sleep 6791 > /dev/null 2>&1 & exit 3") == 3
    assert not poll_until(lambda: sleeping("6791"), lambda found: not found, 10)


def test_temporary_files_are_in_the_folder(
    stand_in: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(stand_in, tmp_path, 'echo "$TMPDIR"') == 0
    assert capfd.readouterr().out == f"{tmp_path}/tmp\n"


def test_a_shell_knows_where_evidence_may_be_written(
    stand_in: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The kernel passes on to its first process what it does not know itself."""
    virtual_machine._vng().write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    assert stand_in.shell(tmp_path, {"LVS_RUNS": f"{tmp_path}/runs"}) == 0
    assert f"--append=LVS_RUNS={tmp_path}/runs" in capfd.readouterr().out.splitlines()
