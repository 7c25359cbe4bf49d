"""A scheduler written by a student: its tests, and the order of connections that it must produce."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from classroom import catalogue
from classroom.checks import needs, title
from classroom.checks.trial_services import (
    Step,
    add_services,
    connect,
    delete_services,
    free_port,
    ipvsadm,
)
from classroom.model import WORKDIR, Observations, Variant
from director.core.errors import SchedulerFailed
from director.custom_scheduler import STOPPED
from labs.checks.result import Check
from labs.run.running import RunningLab
from labs.wait import patient

NAME = "smooth"
FILE, TEST_FILE = f"{NAME}.py", f"test_{NAME}.py"  # the student's
# the initial versions of the student's files, and the tests that count
STARTERS = catalogue.FOLDER / "starters"

# Weights, and the numbers of the servers that get the connections: of a round and a part of the next with all
# servers, and of a round with the first at weight 0. By then it has so much credit that a scheduler picks it
# unless it leaves out what is not available. No other scheduler produces these orders.
_ROUNDS = {
    (5, 1, 1): ("112131111213", "23"),
    (4, 1, 1): ("11213111213", "23"),
    (4, 2, 1): ("1213121121312", "232"),
    (2, 4, 1): ("212321221232", "22232"),
    (3, 1, 2): ("13123113123", "233"),
    (2, 1, 4): ("313231331323", "33233"),
    (3, 2, 1): ("12132112132", "232"),
}

# ---- the required order ----


@dataclass(frozen=True, slots=True)
class Round:
    """The servers that must get the connections, in order, with these weights of rs1, rs2 and rs3."""

    weights: tuple[int, ...]
    names: tuple[str, ...]


def rounds(variant: Variant) -> tuple[Round, Round]:
    """More than a round with all servers; then one with rs1 at weight 0."""
    weights = variant.choose(tuple(_ROUNDS), "weights")
    first, then = _ROUNDS[weights]
    return Round(weights, _names(first)), Round((0, *weights[1:]), _names(then))


def _names(numbers: str) -> tuple[str, ...]:
    return tuple(f"rs{number}" for number in numbers)


# ---- probes ----

_CPU = 3  # seconds of processor time for all tests; correct code takes less than one
_SECONDS = 8.0  # in all, in case a test blocks
_MAX_ERROR = 300  # characters
# Without plugins and the project's settings, which take longer than the tests.
_NO_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
_OPTIONS = ("-c", os.devnull, "--import-mode=importlib", "-p", "no:cacheprovider", "-q", "-x", "--tb=line")
_CLASS = f"{SchedulerFailed.__module__}.{SchedulerFailed.__name__}: "  # its message is enough
_ONE_REQUEST = Step("c1", stays=False)


def tested(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """The number of the project's own tests that `passed`, and what is `wrong` in the first that failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        pytest = [sys.executable, "-m", "pytest", *_OPTIONS, f"--junit-xml={report}"]
        file = running.evidence.folder / WORKDIR / FILE
        try:
            subprocess.run(
                ["sh", "-c", f'ulimit -t {_CPU}; exec "$@"', "sh", *pytest, str(STARTERS / TEST_FILE)],
                env={**os.environ, **_NO_PLUGINS, "SCHEDULER_FILE": str(file)},
                cwd=catalogue.FOLDER.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patient(_SECONDS),
            )
        except subprocess.TimeoutExpired:
            return {"passed": 0, "wrong": f"the tests did not finish in {patient(_SECONDS):g} s"}
        return _read(report)


def _read(report: Path) -> dict[str, Any]:
    if not report.exists():
        return {"passed": 0, "wrong": f"the tests did not finish in {_CPU} s of processor time"}
    passed = 0
    for case in ElementTree.parse(report).iter("testcase"):
        failure = next((element for element in case if element.tag in ("failure", "error")), None)
        if failure is not None:
            message = (failure.get("message") or "").partition("\n")[0].strip().removeprefix(_CLASS)
            message = message.replace(STOPPED, "")
            return {"passed": passed, "wrong": f"{case.get('name')}: {message}"[:_MAX_ERROR]}
        passed += 1
    return {"passed": passed, "wrong": ""}


def scheduled(running: RunningLab, variant: Variant) -> dict[str, Any]:
    """The servers that got the connections of the `first` rounds and, `then`, with a weight of 0.

    `wrong` is an error of the director.
    """
    port, vip = free_port(), variant.plan.vip
    first, then = rounds(variant)
    error = add_services([(port, NAME, first.weights)], variant)
    try:
        if error:
            return {"first": [], "then": [], "wrong": error[:_MAX_ERROR]}
        [got] = connect(running, [(port, [_ONE_REQUEST] * len(first.names))])
        quiet = variant.plan.servers[0]
        ipvsadm([f"-e -t {vip}:{port} -r {quiet.address}:{quiet.http_port} -m -w 0"])
        [later] = connect(running, [(port, [_ONE_REQUEST] * len(then.names))])
    finally:
        delete_services([port], variant)
    return {"first": got, "then": later, "wrong": _refusal(running, f"{vip}:{port}")[:_MAX_ERROR]}


def _refusal(running: RunningLab, service: str) -> str:
    """Why the director refused a recent connection to a service, or ""."""
    for line in reversed(running.evidence.events.read_text().splitlines()[-1000:]):
        if '"rejected"' in line and service in line:
            return str(json.loads(line).get("why", "")).replace(STOPPED, "")  # the trial's service is deleted
    return ""


# ---- judges ----


@needs(tested)
def own_tests(observations: Observations, variant: Variant) -> Check:
    """The scheduler passes its tests."""
    found = observations["tested"]
    ok = not found["wrong"] and found["passed"] > 0
    observed = f"{found['passed']} passed" + (f"; {found['wrong']}" if found["wrong"] else "")
    return Check(title(own_tests), ok, "all passed", observed)


@needs(scheduled)
def spread_smoothly(observations: Observations, variant: Variant) -> Check:
    """In the lab, servers get connections by weight, spread evenly over each round."""
    first, _ = rounds(variant)
    found = observations["scheduled"]["first"]
    expected = " ".join(first.names)
    return Check(title(spread_smoothly), found == list(first.names), expected, _order(found, observations))


@needs(scheduled)
def quiesced_left_out(observations: Observations, variant: Variant) -> Check:
    """In the lab, a server of weight 0 gets nothing, and the others share by weight."""
    _, then = rounds(variant)
    found = observations["scheduled"]["then"]
    expected = " ".join(then.names)
    return Check(title(quiesced_left_out), found == list(then.names), expected, _order(found, observations))


def _order(found: Sequence[str], observations: Observations) -> str:
    wrong = str(observations["scheduled"]["wrong"])
    return "; ".join(filter(None, (" ".join(found), wrong))) or "no connections"
