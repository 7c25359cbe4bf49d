"""The start of a command: closed streams, Ctrl-C at any moment, limits of the caller's shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from labs.errors import Unable
from labs.machine import limits
from labs.wait import patient

ROOT = Path(__file__).resolve().parents[4]
# Runs tasks.py as ./inv does, and presses Ctrl-C when a module is asked for.
PRESSED_AT = """
import builtins, os, runpy, signal, sys
wanted, sys.argv = sys.argv[1], ["tasks.py", *sys.argv[2:]]
real = builtins.__import__
def press(name, *more):
    if name == wanted:
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *more)
builtins.__import__ = press
sys.path.insert(0, ".")
runpy.run_path("tasks.py", run_name="__main__")
"""
COMPLAINING = """
import signal, sys
from labs.terminal import startup
startup.raise_interrupts()
class Odd:
    def __del__(self):
        raise KeyboardInterrupt
Odd()
print("went on")
"""


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_streams_are_opened_for_us_and_our_children(closed: str, tmp_path: Path) -> None:
    output_file = tmp_path / "told"
    code = (
        "from labs.terminal import startup; import subprocess, sys;"
        "print(sys.stdin.read(0), file=sys.stdout); print(file=sys.stderr);"
        f"subprocess.run(['sh', '-c', 'ls /proc/self/fd > {output_file}'], check=True)"
    )
    line = f'exec "$0" -c "{code}" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert {"0", "1", "2"} <= set(output_file.read_text().split())


def run_closed(words: str, closed: str) -> tuple[int, str]:
    """Exit code and standard error of a command some of whose standard streams are closed."""
    line = f'exec "$0" tasks.py {words} {closed}'
    command = ["sh", "-c", line, sys.executable]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, timeout=patient(60))
    return done.returncode, done.stderr


def test_a_command_needs_neither_standard_input_nor_standard_error() -> None:
    assert run_closed("lab-dr --show-scripts", "<&- 2>&- > /dev/null") == (0, "")


@pytest.mark.parametrize("words", ["--list", "exercises", "lab-dr --show-scripts", "status"])
def test_a_result_that_no_one_gets_is_no_success(words: str) -> None:
    says = "Standard output is closed: redirect it to a file, or to /dev/null.\n"
    assert run_closed(words, ">&-") == (2, says)
    assert run_closed(words, "<&- >&- 2>&-") == (2, "")


@pytest.mark.parametrize(
    "module", ["importlib.metadata", "invoke.config", "labs.terminal.exits", "rich.progress"]
)
def test_ctrl_c_is_quiet_at_any_moment(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRESSED_AT, module, "exercises"],
        cwd=ROOT,
        capture_output=True,
        timeout=patient(60),
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_ctrl_c_while_python_starts_is_not_lost() -> None:
    """./inv blocks it until then."""

    def press() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        os.kill(os.getpid(), signal.SIGINT)

    done = subprocess.run(
        [sys.executable, "tasks.py", "exercises"], cwd=ROOT, capture_output=True, preexec_fn=press
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_ctrl_c_where_python_would_only_warn() -> None:
    done = subprocess.run([sys.executable, "-c", COMPLAINING], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_an_ignored_interrupt_stays_ignored() -> None:
    code = "from labs.terminal import startup; import signal; startup.raise_interrupts(); "
    code += "signal.raise_signal(2)"
    done = subprocess.run(["sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, code], cwd=ROOT)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("narrow", "code"),
    [("umask 777", 0), ("ulimit -S -f 10", 0), ("ulimit -S -n 20", 0), ("ulimit -f 10", 2)],
)
def test_limits_of_the_shell_are_raised_or_reported(narrow: str, code: int, tmp_path: Path) -> None:
    work = (
        "import sys; from pathlib import Path; from labs.machine import limits\n"
        "from labs.errors import Unable\n"
        "limits.lift()\n"
        "file = Path(sys.argv[1])\n"
        "file.mkdir(); (file / 'x').write_text('x')\n"
        "try: limits.require()\n"
        "except Unable: sys.exit(2)\n"
    )
    line = f'{narrow} && exec "$0" -c "$1" "$2"'
    done = subprocess.run(
        ["bash", "-c", line, sys.executable, work, str(tmp_path / "new")], cwd=ROOT, capture_output=True
    )
    if code == 2 and os.geteuid() == 0 and done.returncode == 0:
        pytest.skip("root may lift it here")
    assert done.returncode == code, done.stderr


def test_a_limit_that_is_too_low_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _limit: (10, 10))
    with pytest.raises(Unable, match="`ulimit -f`"):
        limits.require()
