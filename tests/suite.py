"""What `./inv test` runs: the checks of the code (lint, format, spelling, types), and the tests side by side.

Labs mostly wait, so there are more of them at a time than processors, as pytest-xdist's workers. Unit tests
compute, and each of xdist's workers would import all of them to run its part. So they have a process of
their own, which with mypy takes what the labs leave of the processors (nice(1)) until these have finished:
beside other busy programs it would take hours. `--unit` divides their modules among processes that import
only their own, one more than there are processors: some tests wait.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from labs.machine.load import memory_available
from labs.terminal.exits import print_error

ROOT = Path(__file__).resolve().parent.parent
UNIT, LABS = ROOT / "tests" / "unit", ROOT / "tests" / "labs"
# Arguments of `python -m`: the scripts in .venv/bin hold the path at which it was made. The hooks in
# .pre-commit-config.yaml are the same.
QUICK_CHECKS = (("ruff", "check"), ("ruff", "format", "--check"), ("codespell_lib",))
TYPES = ("mypy",)
_MODULE = (sys.executable, "-m")
_AFTER_THE_LABS = ("nice", "-n", "10")
_LABS_PER_PROCESSOR = 2.5
_LABS_PER_UNIT_PROCESS = 5
_MEMORY = 700_000_000  # bytes for a worker with its lab
_SLOWEST = 20  # tests in the table at the end
_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_NO_TESTS = 5  # pytest's exit code where --only fits none of a process's tests

# Modules that take more than a second and a half of processor time, with these; others count as 0.3 s.
_SECONDS = {
    "oracle/test_recordings.py": 14,
    "classroom/grading/test_sheets.py": 8,
    "test_inv.py": 8,
    "director/test_custom_scheduler.py": 6,
    "realserver_setup/test_render.py": 6,
    "classroom/grading/test_archive.py": 4,
    "director/core/test_overload.py": 4,
    "director/core/test_transaction.py": 4,
    "labs/terminal/test_exits.py": 4,
    "labs/terminal/test_startup.py": 4,
    "oracle/test_ipv6_generated.py": 4,
    "classroom/grading/test_grade.py": 3,
    "classroom/grading/test_gradebook.py": 3,
    "classroom/test_exercises.py": 3,
    "compare/test_results.py": 3,
    "director/core/test_fuzz.py": 3,
    "director/core/test_schedulers.py": 3,
    "director/engines/test_ipv4.py": 3,
    "test_packages.py": 3,
    "vm/test_virtual_machine.py": 3,
    "director/core/test_any_packet.py": 2,
    "director/core/test_sync_protocol.py": 2,
    "director/engines/test_rewrite.py": 2,
    "director/engines/test_scapy_fuzz.py": 2,
    "director/test_bin.py": 2,
    "doctor/test_causes.py": 2,
    "doctor/test_collect_lab.py": 2,
    "exercises/test_starters.py": 2,
    "failover/test_measured.py": 2,
    "labs/controller/test_start.py": 2,
    "oracle/test_twos.py": 2,
    "view/test_server.py": 2,
}
_OTHERS = 0.3


def run_suite(only: str = "", *, unit: bool = False, workers: int = 0) -> list[str]:
    """Run checks and tests; return the names of what failed. What runs beside the first pytest comes last."""
    for number in _ENDING - {signal.SIGINT}:
        signal.signal(number, _end)
    try:
        return _run_all(only, unit=unit, workers=workers)
    except KeyboardInterrupt:
        print_error("\nInterrupted; what was running has been ended.")
        raise


def _end(number: int, _frame: object) -> NoReturn:
    """Leave no tests behind when this process is told to end."""
    raise SystemExit(128 + number)


def _run_all(only: str, *, unit: bool, workers: int) -> list[str]:
    checks = [check for check in QUICK_CHECKS if _installed(check[0])]
    failed = [" ".join(check) for check in checks if _run([*_MODULE, *check]) != 0]
    number = workers or suitable_workers(os.cpu_count() or 1, memory_available(), unit=unit)
    first, *others = pytest_commands(only, unit=unit, workers=number)
    types = [*(() if unit else _AFTER_THE_LABS), *_MODULE, *TYPES]
    with ExitStack() as stack:
        beside = [_Beside(stack, command) for command in (types, *others)]
        first_code = _run(first)
        for process in beside:
            process.share_priority()
        pytest_codes = [first_code, *(process.finish() for process in beside[1:])]
        types_code = beside[0].finish()
    allowed = {0, _NO_TESTS} if others else {0}  # --only may fit tests of one process only
    passed = set(pytest_codes) <= allowed and 0 in pytest_codes
    return [*failed, *([] if passed else ["pytest"]), *(TYPES if types_code else [])]


class _Beside:
    """A program that runs meanwhile; what it prints is shown when it has finished."""

    def __init__(self, stack: ExitStack, command: Sequence[str]) -> None:
        self._command = command
        self._output = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
        self.process = stack.enter_context(_started(command, self._output))

    def share_priority(self) -> None:
        """Give it the priority of this process, where the user may (root)."""
        with suppress(PermissionError, ProcessLookupError):
            os.setpriority(os.PRIO_PGRP, self.process.pid, os.getpriority(os.PRIO_PROCESS, 0))

    def finish(self) -> int:
        """Its exit code."""
        code = self.process.wait()
        self._output.seek(0)
        text = self._output.read().decode(errors="replace").strip()
        print(f"\n{_shown(self._command)}\n{text}", flush=True)
        return code


def pytest_commands(only: str, *, unit: bool, workers: int) -> list[list[str]]:
    """The labs by pytest-xdist's workers, then the unit tests; or one command for all, if one at a time."""
    pytest = [*_MODULE, "pytest", f"--durations={_SLOWEST}", *(["-k", only] if only else [])]
    if unit:
        return [[*pytest, *modules] for modules in divided(unit_tests(), workers)]
    if workers == 1:
        return [pytest]
    spread = ["-n", str(workers), "--dist", "loadscope", "--no-loadscope-reorder"]
    parts = divided(unit_tests(), -(-workers // _LABS_PER_UNIT_PROCESS))
    return [
        [*pytest, *spread, os.path.relpath(LABS, ROOT)],
        *([*_AFTER_THE_LABS, *pytest, "-q", *modules] for modules in parts),
    ]


def unit_tests() -> list[str]:
    """Their modules, relative to tests/unit."""
    return sorted(str(file.relative_to(UNIT)) for file in UNIT.rglob("test_*.py"))


def divided(modules: Sequence[str], number: int) -> list[list[str]]:
    """The modules in `number` parts, or fewer, that take about equally long; paths from the checkout."""
    parts: list[list[str]] = [[] for _ in range(min(number, len(modules)))]
    seconds = [0.0] * len(parts)
    for module in sorted(modules, key=lambda module: -_SECONDS.get(module, 0)):
        place = seconds.index(min(seconds))
        parts[place].append(os.path.relpath(UNIT / module, ROOT))
        seconds[place] += _SECONDS.get(module, _OTHERS)
    return [sorted(part) for part in parts]


def suitable_workers(processors: int, memory: int, *, unit: bool) -> int:
    """How many tests to run at a time, for `memory` bytes that are free."""
    wanted = processors + 1 if unit else int(_LABS_PER_PROCESSOR * processors)
    return max(1, min(wanted, memory // _MEMORY))


def _installed(module: str) -> bool:
    """Whether .venv has the tool; a .venv from before the tool joined the checks does not."""
    found = importlib.util.find_spec(module) is not None
    if not found:
        print(f"\n{module} is not installed, so this check is skipped: ./inv --list brings .venv up to date.")
    return found


def _run(command: Sequence[str]) -> int:
    print(f"\n{_shown(command)}", flush=True)
    with _started(command) as process:
        return process.wait()


def environment() -> dict[str, str]:
    """The caller's, but compiled modules are kept: else each of some thousand Pythons compiles them anew."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _lead_group() -> None:
    os.setpgrp()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


@contextmanager
def _started(command: Sequence[str], output: Any = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own: Ctrl-C reaches this process alone, which ends the others.

    Workers of pytest-xdist print tracebacks if they are interrupted. Not a session of its own: the kernel
    may divide the processors among sessions (sched(7), autogroup), whatever their nice values.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # until there is a process that can be ended
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        preexec_fn=_lead_group,
    )
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        yield process
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _shown(command: Sequence[str]) -> str:
    """As a person would type it, shortened where it names more files than fit a line."""
    words = [os.path.relpath(word, ROOT) if word == sys.executable else word for word in command]
    text = shlex.join(words)
    return f"$ {text}" if len(text) < 200 else f"$ {text[:200].rsplit(' ', 1)[0]} ..."
