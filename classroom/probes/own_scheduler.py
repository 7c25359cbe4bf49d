"""A scheduler that a student has written: what its tests say, and what it does in the director."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from classroom import catalogue
from classroom.guided.own_scheduler import FILE, NAME, TESTS, rounds
from classroom.guided.plays import Step
from classroom.probes.plays import ask, free_port, give, serve, take_away
from classroom.variants import Variant
from classroom.work import folder_of
from director.core.errors import SchedulerFailed
from director.custom_scheduler import STOPPED
from labs.run.running import RunningLab
from labs.wait import patient

_CPU = 3  # seconds of processor time for all tests; without mistakes they take less than one
_SECONDS = 8.0  # altogether, for tests that wait
_LONGEST = 300  # characters of a complaint
# Neither plugins nor the project's settings: they take longer than the tests.
_NO_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
_PLAIN = ("-c", os.devnull, "--import-mode=importlib", "-p", "no:cacheprovider")
_CLASS = f"{SchedulerFailed.__module__}.{SchedulerFailed.__name__}: "  # its sentence says enough
_ONCE = Step("c1", stays=False)


def tested(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """How many tests have `passed`, and what is wrong in the first that has not: the project's own tests."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        tests = catalogue.folder_of(variant.exercise) / TESTS
        options = [*_PLAIN, "-q", "-x", "--tb=line", f"--junit-xml={report}"]
        try:
            subprocess.run(
                [
                    "sh",
                    "-c",
                    f'ulimit -t {_CPU}; exec "$@"',
                    "sh",
                    sys.executable,
                    "-m",
                    "pytest",
                    *options,
                    str(tests),
                ],
                env={**os.environ, **_NO_PLUGINS, "SCHEDULER_FILE": str(folder_of(running.evidence) / FILE)},
                cwd=catalogue.FOLDER.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patient(_SECONDS),
            )
        except subprocess.TimeoutExpired:
            return {"passed": 0, "wrong": f"the tests were not done after {patient(_SECONDS):g} s"}
        return _read(report)


def _read(report: Path) -> dict[str, Any]:
    if not report.exists():
        return {"passed": 0, "wrong": f"the tests were not done in {_CPU} s of processor time"}
    passed = 0
    for variant in ElementTree.parse(report).iter("testcase"):
        wrong = next((one for one in variant if one.tag in ("failure", "error")), None)
        if wrong is not None:
            said = (
                (wrong.get("message") or "")
                .partition("\n")[0]
                .strip()
                .removeprefix(_CLASS)
                .replace(STOPPED, "")
            )
            return {"passed": passed, "wrong": f"{variant.get('name')}: {said}"[:_LONGEST]}
        passed += 1
    return {"passed": passed, "wrong": ""}


def scheduled(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """Who got the connections of the `first` rounds, and `then`, with a weight of 0; what was the matter."""
    port, vip = free_port(), variant.plan.vip
    first, then = rounds(variant)
    complaint = serve([(port, NAME, first.weights)], variant)
    try:
        if complaint:
            return {"first": [], "then": [], "wrong": complaint[:_LONGEST]}
        [got] = ask(running, [(port, [_ONCE] * len(first.names))])
        quiet = variant.plan.servers[0]
        give([f"-e -t {vip}:{port} -r {quiet.address}:{quiet.http_port} -m -w 0"])
        [later] = ask(running, [(port, [_ONCE] * len(then.names))])
    finally:
        take_away([port], variant)
    return {"first": got, "then": later, "wrong": _refusal(running, f"{vip}:{port}")[:_LONGEST]}


def _refusal(running: RunningLab, service: str) -> str:
    """Why the director has refused a connection to a service lately; empty where it has not."""
    for line in reversed(running.evidence.events.read_text().splitlines()[-1000:]):
        if '"rejected"' in line and service in line:
            return str(json.loads(line).get("why", "")).replace(STOPPED, "")  # that service has gone since
    return ""
