"""`python tasks.py WORDS` in a fork of this process, for tests of what it prints and its exit code.

What ./inv imports is there already, so that a start takes a tenth of the time. How a Python process starts
(its streams, signals and imports) is the subject of other tests, which start one.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

import bench.command  # noqa: F401  # these are what takes time to import
import compare.command  # noqa: F401
import labs.run.lab  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]


def inv(words: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Exit code and output; `environment` is all of it."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if child == 0:
            _become(words, environment, output, errors)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(list(words), code, output.read(), errors.read())


def _become(
    words: Sequence[str], environment: Mapping[str, str], output: IO[str], errors: IO[str]
) -> NoReturn:
    code = 70
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest-timeout's
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(ROOT)
        sys.argv = ["tasks.py", *words]
        runpy.run_path("tasks.py", run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 (shown, as Python would)
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
