"""Fixtures of the lab tests: a lab is started as a command, as a user does, with a time limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labs.errors import Unable
from labs.machine import capabilities
from labs.wait import patient, poll_until
from tests.labs.forked import run_forked
from tests.labs.support import FROM_CHECKOUT, Finished, processes_with

ROOT = Path(__file__).resolve().parent.parent.parent
MARK = "LVS_TEST_MARK"


@pytest.fixture(scope="session", autouse=True)
def _able() -> None:
    try:
        capabilities.require()
    except Unable as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def start(runs: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `invoke ARGUMENTS` and return the process."""

    def begin(*arguments: str, mark: str = "", code: str = "", typed: bool = False) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code] if code else [sys.executable, "-m", "invoke"]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=ROOT,
            env={**os.environ, "LVS_RUNS": str(runs), MARK: mark},
            stdin=subprocess.PIPE if typed else subprocess.DEVNULL,
            start_new_session=True,  # so that a test can interrupt the whole group, as a terminal does
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return begin


@pytest.fixture(scope="session")
def run_lab(start: Callable[..., subprocess.Popen[str]], runs: Path) -> Callable[..., Finished]:
    """Run a lab to its end. `faults` maps a host to the command that breaks it once it is built; of the
    checks, only `checks` run, if any are named: those of labs.checks, separated by commas.
    """

    def run(
        *arguments: str, faults: dict[str, str] | None = None, checks: str = "", timeout: float = 120
    ) -> Finished:
        report = runs / f"{uuid.uuid4().hex}.json"
        arguments = (*arguments, "--report", str(report))
        if faults or checks:
            code, environment = _with_faults(faults or {}, checks), {**FROM_CHECKOUT, "LVS_RUNS": str(runs)}
            done = run_forked(code, arguments, environment, timeout)
            exit_code, output = done.returncode, done.stdout + done.stderr
        else:
            process = start(*arguments)
            output, _ = process.communicate(timeout=patient(timeout))
            exit_code = process.returncode
        text = report.read_text() if report.exists() else ""
        return Finished(exit_code, output, json.loads(text) if text else {})

    return run


def _with_faults(faults: dict[str, str], checks: str) -> str:
    """A program that runs tasks.py with these faults in every lab, and only these checks."""
    chosen = ", ".join(f"checks.{name.strip()}" for name in checks.split(",") if name)
    listed = ", ".join(f"Fault({host!r}, ({command!r},))" for host, command in faults.items())
    return (
        "import functools, labs.run.lab\n"
        "from labs import checks\n"
        "import labs.checks.failures\n"
        "from labs.run.lab import Fault\n"
        f"chosen = [{chosen}]\n"
        f"labs.run.lab.run = functools.partial(labs.run.lab.run, faults=[{listed}], chosen=chosen)\n"
        "from invoke.main import program\n"
        "program.run()\n"
    )


@pytest.fixture
def mark() -> Iterator[str]:
    """A word in the environment of every process of a lab; the test fails if one is left."""
    word = uuid.uuid4().hex
    yield word
    assert poll_until(lambda: processes_with(word), lambda left: not left, 10) == []
