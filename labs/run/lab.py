"""A lab from start to end: build, check, report.

outside the sandbox   validate the request, probe the machine
inside                Open vSwitch, controller, hosts, scripts, servers, director; checks; report
"""

from __future__ import annotations

import errno
import os
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Protocol

from director.control.channel import ChannelError, Message
from labs import checks
from labs.checks.result import Check
from labs.errors import BadRequest, BuildFailed, LabError, Unable
from labs.hosts.setups import show_scripts
from labs.machine import capabilities
from labs.network.sandbox import run_in_sandbox
from labs.plan import Plan, plan_for
from labs.run.builder import Builder
from labs.run.control_server import ControlServer, remove_socket
from labs.run.evidence import Evidence
from labs.run.options import LabOptions, ViewOptions
from labs.run.report import Report, ServerReport
from labs.run.running import RunningLab
from labs.terminal.exits import REFUSED, exception_line, os_error_text, print_error
from labs.terminal.reporter import ConsoleReporter
from labs.wait import patient
from realserver_setup.errors import SetupError

# Foreseen errors in a part of a lab; each has a message for people.
EXPECTED_ERRORS = (LabError, SetupError, ChannelError, OSError, TimeoutExpired)
Answers = Mapping[str, Callable[[RunningLab], Message]]


class Watch(Protocol):
    """Shows a lab while it runs (view/live_view.py); created before the sandbox is entered."""

    def start(self, running: RunningLab) -> None:
        """Begin to show the lab; called inside the sandbox once the lab is built."""

    def stay(self) -> None:
        """Keep the lab running until the user ends it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Commands that break a lab once it is built, for tests and exercises."""

    host: str
    commands: tuple[str, ...]


def run_lab(
    method: str,
    options: LabOptions,
    answers: Answers | None = None,
    watcher: Callable[[ViewOptions], Watch] | None = None,
) -> int:
    """Run a lab, or print its scripts; 0 when every check passed. Raises LabError.

    `answers` handle further requests on the control socket while the lab stays (`--cli`, `--view`); `watcher`
    creates its `Watch`.
    """
    patient(1)  # refuses an invalid LVS_PATIENCE before anything is built
    report = _report_file(options.report)
    plan = plan_for(method, options)
    if options.show_scripts:
        show_scripts(plan, options.dialect)
        return 0
    return run(plan, options, report, answers=answers, watcher=watcher)


def _report_file(name: str) -> Path | None:
    """The file for --report, checked before the lab starts. Raises BadRequest if it cannot be written."""
    if not name:
        return None
    path = Path(name).absolute()
    if path.is_dir() or not path.parent.is_dir():
        raise BadRequest(f"--report {name}: expected a file in an existing folder.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise BadRequest(f"--report {name}: permission denied: name a file that you may write.")
    return path


def run(
    plan: Plan,
    options: LabOptions,
    report_to: Path | None = None,
    faults: Sequence[Fault] = (),
    chosen: Sequence[checks.CheckFunction] = (),
    answers: Answers | None = None,
    watcher: Callable[[ViewOptions], Watch] | None = None,
) -> int:
    """Run a lab in its own sandbox; 0 if every check passed, 1 if one failed.

    `faults` break the lab once it is built; `chosen` are checks to run instead of the lab's. For `answers`
    and `watcher` see `run_lab`. Raises Unable, before anything is built, if this machine lacks something.
    """
    capabilities.require()
    capabilities.require_for(options)
    watch = watcher(options.viewing) if watcher and options.viewing.wanted else None
    began = time.monotonic()
    evidence = Evidence(plan.lab)

    def inside() -> int:
        reporter = ConsoleReporter(verbose=options.verbose)
        stays = options.cli or watch is not None
        control_server = ControlServer(evidence.folder, lab=plan.lab) if stays else None
        running, notes = _build(plan, options, evidence, reporter)
        if watch:
            watch.start(running)
        _break(running, faults)
        results = _check(running, reporter, chosen or checks.of(plan, options))
        counted, lost = _connections(running)
        report = _report(running, (*results, *lost), counted, reporter, notes, began)
        reporter.result(report, plan.topology.names_of_macs)
        complaints = [report.written(path) for path in (evidence.report, report_to) if path]
        complaints = [evidence.missing() or complaints[0], *complaints[1:]]
        for complaint in filter(None, complaints):
            print_error(complaint)
        if control_server:
            _open(control_server, running, answers or {})
            if options.cli:
                running.network.prompt()
            elif watch:
                watch.stay()
        return REFUSED if any(complaints) else 0 if report.ok else 1

    try:
        return run_in_sandbox(inside)
    finally:
        remove_socket(evidence.folder)
        evidence.close()


def _build(
    plan: Plan, options: LabOptions, evidence: Evidence, reporter: ConsoleReporter
) -> tuple[RunningLab, Sequence[str]]:
    builder = Builder(plan, options, evidence, reporter)
    try:
        return builder.build(), builder.notes
    except EXPECTED_ERRORS as error:
        raise build_error(error, evidence) from error


def build_error(error: Exception, evidence: Evidence) -> LabError:
    """The error to raise when a build fails with one of EXPECTED_ERRORS: Unable if the disk is full."""
    missing = evidence.missing()
    if isinstance(error, OSError):
        message = f"{os_error_text(error)}."
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return Unable(message) if full or missing else BuildFailed(message)
    return Unable(f"{error} {missing}") if missing else BuildFailed(str(error))


def _open(control_server: ControlServer, running: RunningLab, answers: Answers) -> None:
    """Answer requests while the prompt is open: ./inv shell and ./inv doctor work from other terminals."""
    control_server.open(
        running, {name: partial(_ignoring_details, answer, running) for name, answer in answers.items()}
    )


def _ignoring_details(
    answer: Callable[[RunningLab], Message], running: RunningLab, _request: Message
) -> Message:
    return answer(running)


def _break(running: RunningLab, faults: Sequence[Fault]) -> None:
    for fault in faults:
        for command in fault.commands:
            running.network.hosts[fault.host].run(["sh", "-c", command])


def _check(
    running: RunningLab, reporter: ConsoleReporter, chosen: Sequence[checks.CheckFunction]
) -> tuple[tuple[str, Check], ...]:
    """The results of all checks in each IP version, each with its subject."""
    results: list[tuple[str, Check]] = []
    with reporter.step("checks", of=len(chosen) * len(running.parts)) as progress:
        for part in running.parts:
            version, label = part.plan.version, "IPv6: " if part is running.second else ""
            for check in chosen:
                found = progress.timed(f"{label}{check.__name__}", partial(_results, check, part))
                subject = f"{label}{checks.subject(check, version)}"
                results += ((subject, replace(check, name=f"{label}{check.name}")) for check in found)
    return tuple(results)


def _results(check: checks.CheckFunction, running: RunningLab) -> tuple[Check, ...]:
    """The results of a check. If it raises, it has failed, and the others continue."""
    try:
        found = check(running)
    except Exception as error:  # noqa: BLE001 (an unforeseen error fails this check only)
        found = _not_run(check.__name__, "the check to run", error, running.evidence)
    return (found,) if isinstance(found, Check) else found


def _not_run(name: str, expected: str, error: Exception, evidence: Evidence) -> Check:
    """A failed check with the reason; the traceback of an unforeseen error goes to logs/checks.log."""
    if isinstance(error, EXPECTED_ERRORS):
        return Check(name, False, expected, str(error))
    with suppress(OSError), evidence.log("checks").open("a") as log:
        traceback.print_exception(type(error), error, error.__traceback__, file=log)
    return Check(name, False, expected, exception_line(error))


def _connections(
    running: RunningLab,
) -> tuple[dict[tuple[str, int], int], tuple[tuple[str, Check], ...]]:
    """The connection counts per real server; a director that does not answer is a failed check."""
    counted: Counter[tuple[str, int]] = Counter()
    try:
        for director in running.directors:
            counted.update(director.connections_by_server())
        return counted, ()
    except Exception as error:  # noqa: BLE001 (all other results exist already)
        failed = _not_run("the director is still running", "its counters", error, running.evidence)
        return {}, (("director", failed),)


def _report(
    running: RunningLab,
    results: tuple[tuple[str, Check], ...],
    counted: Mapping[tuple[str, int], int],
    reporter: ConsoleReporter,
    notes: Sequence[str],
    began: float,
) -> Report:
    servers = tuple(
        ServerReport(
            server.name, server.address, server.weight, counted.get((server.address, server.http_port), 0)
        )
        for part in running.parts
        for server in part.plan.servers
    )
    return Report(
        plan=running.plan,
        engine=running.options.engine,
        scheduler=running.options.scheduler,
        servers=servers,
        results=results,
        packets=tuple(row for part in running.parts for row in part.packets),
        seconds={**reporter.seconds, "total": time.monotonic() - began},
        notes=tuple(notes),
        folder=running.evidence.folder,
        failures=tuple(failure for part in running.parts for failure in part.failures),
    )
