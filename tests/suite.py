"""What `./inv test` runs: lint, format and types beside the tests, and these side by side.

A lab mostly waits, so there are more of them at a time than processors; unit tests compute.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from labs.machine.load import memory_available

ROOT = Path(__file__).resolve().parent.parent
_MODULE = (sys.executable, "-m")  # scripts in .venv/bin know where it was made, whatever its path has in it
_FIRST = (("ruff", "check"), ("ruff", "format", "--check"))
_LABS_PER_PROCESSOR = 2
_MEMORY = 700_000_000  # bytes for a worker with its lab
_SLOWEST = 20  # tests in the table at the end


def run_suite(only: str = "", *, unit: bool = False, workers: int = 0) -> list[str]:
    """Run all of it; the names of what failed. Output goes to ours, that of mypy at the end."""
    failed = [" ".join(tool) for tool in _FIRST if _run([*_MODULE, *tool]) != 0]
    with tempfile.TemporaryFile() as said:
        types = subprocess.Popen(
            [*_MODULE, "mypy"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            if _run(pytest_command(only, unit=unit, workers=workers)) != 0:
                failed.append("pytest")
        finally:
            code = types.wait()
        _print_all("mypy", said)
    return [*failed, *(["mypy"] if code else [])]


def pytest_command(only: str, *, unit: bool, workers: int = 0) -> list[str]:
    """pytest with as many workers as suit the machine; of unit tests, one for each processor."""
    number = workers or suitable_workers(os.cpu_count() or 1, memory_available(), unit=unit)
    spread = ["-n", str(number), "--dist", "loadscope", "--no-loadscope-reorder"] if number > 1 else []
    which = (["tests/unit"] if unit else []) + (["-k", only] if only else [])
    return [*_MODULE, "pytest", *spread, f"--durations={_SLOWEST}", *which]


def suitable_workers(processors: int, memory: int, *, unit: bool) -> int:
    """How many tests to run at a time, for `memory` bytes that are free."""
    wanted = processors if unit else _LABS_PER_PROCESSOR * processors
    return max(1, min(wanted, memory // _MEMORY))


def _run(command: Sequence[str]) -> int:
    print(f"\n$ {shlex.join([os.path.relpath(command[0], ROOT), *command[1:]])}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _print_all(name: str, said: IO[bytes]) -> None:
    said.seek(0)
    print(f"\n$ {name}\n{said.read().decode(errors='replace').strip()}", flush=True)
