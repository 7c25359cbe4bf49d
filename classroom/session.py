"""A running exercise: the lab with the student's fault in it, and the answers of its control socket.

hosts    a process of each host
check    the results of the checks now
hint     the next hint, or those opened so far
submit   the content of a submission: the probes' last observations, and the journal
reset    restarts the lab in the same folder, with the same journal
note     adds an entry to the journal
state    the state for the doctor
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from classroom import catalogue
from classroom.checks import judged, observe, probes_of
from classroom.journal import JOURNAL, Journal
from classroom.model import WORKDIR, Variant
from classroom.script_edits import script_editor
from classroom.submission import new_run
from director.control.channel import Message
from doctor.collect_lab import collect_lab
from labs.checks.result import Check
from labs.machine import capabilities
from labs.network.sandbox import run_in_sandbox
from labs.run.builder import Builder
from labs.run.control_server import ABOUT, SOCKET, ControlServer
from labs.run.evidence import Evidence, give_to_owner_of
from labs.run.lab import EXPECTED_ERRORS, build_error
from labs.run.running import RunningLab
from labs.terminal.exits import os_error_text
from labs.terminal.reporter import ConsoleReporter
from labs.terminal.screen import busy, make_console, print_wrapped
from labs.wait import patient

_AGAIN = 75  # exit code of a sandbox whose exercise is to restart


class ResetRequested(BaseException):
    """Raised in the main thread by a reset, wherever that is: at the prompt, or waiting for a command."""


class ExerciseSession:
    """A student's variant of an exercise, built and running; made inside a sandbox."""

    def __init__(
        self, variant: Variant, evidence: Evidence, reporter: ConsoleReporter, *, watched: bool = False
    ) -> None:
        """`watched`: a live view needs captures. Raises BuildFailed."""
        self._captures = variant.definition.captures or watched
        self.variant = variant
        self.definition = variant.definition
        self.evidence = evidence
        self.workdir = evidence.folder / WORKDIR  # only exercises with files to complete have one
        self.journal = Journal(evidence.folder)
        self._run = new_run(variant.exercise, variant.student)
        self._hints = catalogue.hints(variant.exercise)
        self.running = self._build(reporter)

    def _build(self, reporter: ConsoleReporter) -> RunningLab:
        variant = self.variant
        try:
            self._write_files()
            builder = Builder(
                variant.plan,
                variant.options,
                self.evidence,
                reporter,
                captures=self._captures,
                userspace_switches=self.definition.userspace_switches,
                alter=script_editor(variant, self.workdir),
            )
            running = builder.build()
            if self.definition.prepare:
                self.definition.prepare(running, variant)
        except EXPECTED_ERRORS as error:
            raise build_error(error, self.evidence) from error
        if not self.journal.entries():
            self.journal.write("started", exercise=variant.exercise, student=variant.student)
        return running

    def _write_files(self) -> None:
        """Write the files to complete, owned by the user, who can edit them outside the lab as well."""
        if self.definition.files is None:
            return
        self.workdir.mkdir()
        files = {self.workdir / name: text for name, text in self.definition.files(self.variant).items()}
        for path, text in files.items():
            path.write_text(text)
        give_to_owner_of(catalogue.FOLDER.parent, self.workdir, *files)

    def open(self, control_server: ControlServer) -> None:
        """Begin to answer requests."""
        answers: dict[str, Callable[[Message], Message]] = {
            "check": lambda _request: self.check(),
            "hint": lambda request: self.hint(more=bool(request.get("more", True))),
            "submit": lambda _request: self.content(),
            "note": self._note,
            "reset": lambda _request: self._reset(control_server),
            "state": lambda _request: {"state": collect_lab(self.running).as_dict()},
        }
        control_server.open(self.running, answers)

    def _reset(self, control_server: ControlServer) -> Message:
        """End this lab once the request has been answered; `run` restarts it."""
        self.journal.write("reset")
        main = threading.main_thread().ident
        assert main is not None
        control_server.afterwards(lambda: signal.pthread_kill(main, signal.SIGUSR1))
        return {}

    def _note(self, request: Message) -> Message:
        self.journal.write(str(request["entry"]), **dict(request.get("details", {})))
        return {}

    def observe(self) -> dict[str, Any]:
        """The observation of each probe of the exercise now, by its name."""
        probes = probes_of(self.definition.checks)
        return {probe.__name__: observe(probe, self.running, self.variant) for probe in probes}

    def judge(self, observations: dict[str, Any]) -> tuple[Check, ...]:
        return judged(self.definition.checks, observations, self.variant)

    def check(self) -> Message:
        """Observe, judge, and record the result in the journal."""
        began = time.monotonic()
        checks = self.judge(self.observe())
        seconds, unwritten = time.monotonic() - began, ""
        try:
            self.journal.write("check", passed=[check.name for check in checks if check.ok])
        except OSError as error:
            unwritten = f"This check could not be recorded in {self.evidence.folder}: {os_error_text(error)}."
        return {"checks": [asdict(check) for check in checks], "seconds": seconds, "unwritten": unwritten}

    def hint(self, *, more: bool) -> Message:
        """The hints opened so far; with `more`, the next one is opened first."""
        opened = self.journal.count("hint")
        if more and opened < len(self._hints):
            opened += 1
            self.journal.write("hint", number=opened)
        texts = [self.variant.filled(text) for text in self._hints[:opened]]
        return {"hints": texts, "of": len(self._hints)}

    def content(self) -> Message:
        """A submission's content except the diagnosis."""
        observations = self.observe()
        passed = [check.name for check in self.judge(observations) if check.ok]
        self.journal.write("submit", passed=passed)
        return {
            "seen": observations,
            "state": collect_lab(self.running).as_dict(),
            "journal": self.journal.entries(),
            "run": self._run,
            "facts": dict(self.variant.facts),
        }


def run(
    variant: Variant,
    stay: Callable[[ExerciseSession], None],
    introduce: Callable[[], None] = lambda: None,
    watcher: Callable[[], Any] | None = None,
) -> int:
    """Build the exercise in its own sandbox, and keep it until `stay` returns; rebuild it after a reset.

    `introduce` is called before anything is built, then `watcher`, which creates the lab's live view (Watch
    in labs/run/lab.py). Raises LabError before that if this machine cannot run the lab.
    """
    patient(1)  # refuses an invalid LVS_PATIENCE
    capabilities.require()
    capabilities.require_for(variant.options)
    evidence = Evidence(f"exercise-{variant.exercise}")

    resets = 0

    def in_sandbox() -> int:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # closing the terminal ends the lab
        about = {"lab": variant.plan.lab, "exercise": variant.exercise, "student": variant.student}
        control_server = ControlServer(evidence.folder, **about, resets=str(resets))
        with busy("starting the lab"):
            reporter = ConsoleReporter(quiet=True)
            session = ExerciseSession(variant, evidence, reporter, watched=watch is not None)
            if watch:
                watch.start(session.running, {**about, "resets": resets})
        signal.signal(signal.SIGUSR1, _request_reset)
        session.open(control_server)
        try:
            stay(session)
        except ResetRequested:
            return _AGAIN
        return 0

    try:
        introduce()
        watch = watcher() if watcher else None
        while (code := run_in_sandbox(in_sandbox)) == _AGAIN:
            resets += 1
            print_wrapped(make_console(), "\nReset: the exercise restarts in its original state.")
            evidence.begin_again(resets, keep=(JOURNAL, ABOUT, SOCKET))
        return code
    finally:
        evidence.close()


def _request_reset(_number: int, _frame: object) -> None:
    raise ResetRequested
