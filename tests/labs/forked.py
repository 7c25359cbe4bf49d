"""Runs our programs in forks of one process per worker, which has imported the labs already.

A start of Python with all imports takes as much processor time as building a third of a lab. What is the
subject of a test starts as a user starts it; the trials of these tests, and commands that only set the scene,
start here. The server is multiprocessing's: it has one thread, so that a fork of it is safe, whatever runs
in the worker.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labs.wait import Deadline

_LOOK = 1.0  # seconds between two looks at the deadline
ROOT = Path(__file__).resolve().parents[2]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(  # what takes time to import; the programs themselves are run anew each time
    ["tests.labs.exercise_trial", "tests.labs.doctor_trial", "tests.labs.repair_trial", "tests.labs.forked"]
)


def run_forked(
    program: Path | str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    *,
    text: str = "",
    folder: Path = ROOT,
) -> subprocess.CompletedProcess[str]:
    """`python PROGRAM ARGUMENTS` with `text` as its input: exit code and output; `environment` is all of it.

    A program that is no Path is code, as with `python -c`. `seconds` are those of an idle machine, and follow
    the speed of this one, which may change meanwhile. Raises subprocess.TimeoutExpired.
    """
    with tempfile.TemporaryDirectory() as made:
        streams = [Path(made, name) for name in ("in", "out", "err")]
        streams[0].write_text(text)
        about = (program, list(arguments), dict(environment), streams, folder)
        process = _context.Process(target=_become, args=about)
        process.start()
        deadline = Deadline(seconds)
        while process.exitcode is None and not deadline.has_passed():
            process.join(_LOOK)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([str(program), *arguments], deadline.limit(), *_read(streams))
        return subprocess.CompletedProcess([str(program), *arguments], process.exitcode, *_read(streams))


def _read(streams: Sequence[Path]) -> list[str]:
    return [file.read_text(errors="replace") if file.exists() else "" for file in streams[1:]]


def _become(
    program: Path | str,
    arguments: list[str],
    environment: dict[str, str],
    streams: Sequence[Path],
    folder: Path,
) -> None:
    """In the fork: be the program."""
    for number, file in enumerate(streams):
        descriptor = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (it stays open)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(ROOT))
    sys.argv = [str(program) if isinstance(program, Path) else "-c", *arguments]
    if isinstance(program, Path):
        runpy.run_path(str(program), run_name="__main__")
    else:
        main: dict[str, Any] = {"__name__": "__main__"}
        exec(program, main)
