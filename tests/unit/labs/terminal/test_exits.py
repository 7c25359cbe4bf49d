"""How a command ends: by an exit code and at most one sentence, whatever happens."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labs.errors import BadRequest, BuildFailed
from labs.terminal.exits import exit_code_of, os_error_text, wrapped
from labs.wait import patient
from tests.unit.forked import inv

ROOT = Path(__file__).resolve().parents[4]


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


def no_such_file() -> OSError:
    return FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (BadRequest("Three."), 2, "Three."),
        (BuildFailed("It broke."), 1, "It broke."),
        (no_such_file(), 2, "/x/y: No such file or directory."),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device: make room there, or"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 2, "/x: Permission denied: name a file"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 2, "Broken pipe."),  # of a socket: somebody still reads
        (UnicodeEncodeError("ascii", "ü", 0, 1, "no"), 2, "Text in an unexpected encoding"),
        (KeyError("k"), 2, "Internal error, KeyError: 'k': please report it, with "),
        (RuntimeError("two\nlines"), 2, "Internal error, RuntimeError: two lines: please"),
    ],
    ids=lambda what: type(what).__name__ if isinstance(what, Exception) else "",
)
def test_an_error_is_one_sentence(
    error: Exception,
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LVS_RUNS", str(tmp_path))
    assert exit_code_of(raising(error)) == code
    output = capfd.readouterr().err
    assert output.startswith(sentence)
    assert output.count("\n") == 1


def test_without_a_folder_for_runs_the_traceback_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LVS_RUNS", "/dev/null/runs")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert exit_code_of(raising(KeyError("k"))) == 2
    [trace] = tmp_path.glob("error-*.txt")
    assert str(trace) in capfd.readouterr().err
    with monkeypatch.context() as nowhere:
        nowhere.setattr("tempfile.gettempdir", lambda: "/dev/null")
        assert exit_code_of(raising(KeyError("k"))) == 2
    assert "test_exits.py, line" in capfd.readouterr().err


INV = [sys.executable, "tasks.py"]


@pytest.mark.parametrize("words", [["--list"], ["lab-dr", "--show-scripts"], ["exercises"]])
def test_a_closed_pipe_ends_a_command_quietly(words: list[str]) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as pipe:
        done = subprocess.run(
            [*INV, *words], cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, timeout=patient(60)
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("words", [["--list"], ["lab-dr", "--show-scripts"], ["diagnosis"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_one_sentence(words: list[str], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*INV, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=patient(60),
        )
    says = "Standard output is full (No space left on device): make room there, or redirect it.\n"
    assert (done.returncode, done.stderr) == (2, says)


def test_a_full_disk_is_distinguished_from_a_full_standard_output() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    assert os_error_text(full).startswith("No space left on device: make room there, or set LVS_RUNS")


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("One two three.", "One two\nthree."),
        ("\nOne.", "\nOne."),
        ("See /a/long/name-with/dashes now.", "See\n/a/long/name-with/dashes\nnow."),
        ("Run `sudo apt-get install x` now.", "Run\n`sudo apt-get install x`\nnow."),
    ],
)
def test_a_sentence_wraps_between_words_but_not_inside_backquotes(sentence: str, shown: str) -> None:
    assert wrapped(sentence, 10) == shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("lab-nat lab-dr --show-scripts", "not lab-nat and lab-dr"),
        ("lab-nat --servers 3 --servers 4", "--servers is given twice"),
        ("lab-nat --servers=3 --servers=4", "--servers is given twice"),
        ("lab-nat --servers --3", "--servers '--3' is not a whole number"),
        ("lab-nat --servers 3.5", "--servers '3.5' is not a whole number"),
        (f"lab-nat --servers {'9' * 5000}", "is not a whole number"),
        ("bench --seconds abc", "--seconds 'abc' is not a whole number"),
        ("bench --rounds=x", "--rounds 'x' is not a whole number"),
        ("bench --rounds 1e3", "--rounds '1e3' is not a whole number"),
        ("vm-test --more x", "--more 'x' is not a whole number"),
        ("compare --servers x", "--servers 'x' is not a whole number"),
        ("shell d --command '", "No closing quotation"),
        ("lab-nat --report /dev/null/x", "--report /dev/null/x"),
        (f"lab-nat --report {'x' * 300}/y", "File name too long"),
        ("compare --show /dev/null", "/dev/null"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(words: str, says: str, tmp_path: Path) -> None:
    done = inv(words.split(" "), {**os.environ, "LVS_RUNS": str(tmp_path)})
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert says in done.stderr


@pytest.mark.parametrize("tidy", [{"INVOKE_RUN_SHELL": "/x", "INVOKE_TASKS_DEDUPE": "x"}, {}])
def test_the_users_own_settings_of_invoke_are_ignored(tidy: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".invoke.yaml").write_text("run: [")
    environment = {**os.environ, **tidy, "HOME": str(tmp_path)}
    done = inv(["diagnosis"], environment)
    assert (done.returncode, done.stderr) == (0, "")
