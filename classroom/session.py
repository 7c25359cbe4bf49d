"""An exercise that runs: the lab with the student's fault in it, and the requests it answers.

hosts    a process of each
check    the checks, judged from what the probes see now
hint     the next hint, or those opened so far
submit   what was seen last and the journal, as a submission's content
note     something for the journal
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from classroom import catalogue
from classroom.checks import judged, probes_of
from classroom.exercise import Exercise
from classroom.journal import Journal
from classroom.probes import look
from classroom.script_edits import alteration
from classroom.submission import new_run
from classroom.variants import Variant
from classroom.work import folder_of, lay_out
from director.control.channel import Message
from doctor.read import read
from labs.checks.result import Check
from labs.machine import capabilities
from labs.network.sandbox import run_in_sandbox
from labs.run.build import Builder
from labs.run.control_server import ControlServer
from labs.run.evidence import Evidence
from labs.run.lab import EXPECTED_ERRORS, build_error
from labs.run.running import RunningLab
from labs.terminal.exits import os_error_text
from labs.terminal.reporter import ConsoleReporter
from labs.terminal.screen import busy
from labs.wait import patient


class ExerciseSession:
    """`case` is whose exercise it is; built inside a sandbox."""

    def __init__(self, variant: Variant, evidence: Evidence, reporter: ConsoleReporter) -> None:
        self.variant = variant
        self.about: Exercise = catalogue.load(variant.exercise)
        self.evidence = evidence
        self.journal = Journal(evidence.folder)
        self._run = new_run(variant.exercise, variant.student)
        self._hints = catalogue.hints(variant.exercise)
        self.running = self._build(reporter)

    def _build(self, reporter: ConsoleReporter) -> RunningLab:
        """Raises BuildFailed."""
        variant = self.variant
        try:
            lay_out(variant, self.evidence)
            builder = Builder(
                variant.plan,
                variant.options,
                self.evidence,
                reporter,
                captures=self.about.captures,
                userspace_switches=self.about.userspace_switches,
                alter=alteration(variant, folder_of(self.evidence)),
            )
            running = builder.build()
            if self.about.prepare:
                self.about.prepare(running, variant)
        except EXPECTED_ERRORS as error:
            raise build_error(error, self.evidence) from error
        self.journal.write("started", exercise=variant.exercise, student=variant.student)
        return running

    def open(self, control_server: ControlServer) -> None:
        """From now on it can be asked."""
        answers: dict[str, Callable[[Message], Message]] = {
            "check": lambda _request: self.check(),
            "hint": lambda request: self.hint(more=bool(request.get("more", True))),
            "submit": lambda _request: self.content(),
            "note": self._note,
            "state": lambda _request: {"state": read(self.running).as_dict()},
        }
        control_server.open(self.running, answers)

    def _note(self, request: Message) -> Message:
        self.journal.write(str(request["entry"]), **dict(request.get("details", {})))
        return {}

    def look(self) -> dict[str, Any]:
        """What every probe of the exercise sees now."""
        probes = probes_of(self.about.checks)
        return {probe.__name__: look(probe, self.running, self.variant) for probe in probes}

    def judge(self, seen: dict[str, Any]) -> tuple[Check, ...]:
        return judged(self.about.checks, seen, self.variant)

    def check(self) -> Message:
        """Look, judge, and write down how it ended."""
        began = time.monotonic()
        checks = self.judge(self.look())
        seconds, unwritten = time.monotonic() - began, ""
        try:
            self.journal.write("check", passed=[check.name for check in checks if check.ok])
        except OSError as error:
            unwritten = (
                f"This check could not be written down in {self.evidence.folder}: {os_error_text(error)}."
            )
        return {"checks": [asdict(check) for check in checks], "seconds": seconds, "unwritten": unwritten}

    def hint(self, *, more: bool) -> Message:
        """The hints opened so far, after one more is opened where there is one and it is asked for."""
        opened = self.journal.count("hint")
        if more and opened < len(self._hints):
            opened += 1
            self.journal.write("hint", number=opened)
        texts = [self.variant.filled(text) for text in self._hints[:opened]]
        return {"hints": texts, "of": len(self._hints)}

    def content(self) -> Message:
        """What is handed in, but for the diagnosis."""
        seen = self.look()
        self.journal.write("submit", passed=[check.name for check in self.judge(seen) if check.ok])
        state = read(self.running).as_dict()
        return {
            "seen": seen,
            "state": state,
            "journal": self.journal.entries(),
            "run": self._run,
            "facts": dict(self.variant.facts),
        }


def run(
    variant: Variant, stay: Callable[[ExerciseSession], None], introduce: Callable[[], None] = lambda: None
) -> int:
    """Start the exercise in a sandbox of its own, and let it run while `stay` does.

    `introduce` comes before it is built. Raises LabError, before that, where this machine can't do it.
    """
    patient(1)  # a wrong LVS_PATIENCE is refused here
    capabilities.require()
    capabilities.require_for(variant.options)
    evidence = Evidence(f"exercise-{variant.exercise}")

    def inside() -> int:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # its terminal is closed: it ends, and all with it
        control_server = ControlServer(
            evidence.folder, lab=variant.plan.lab, exercise=variant.exercise, student=variant.student
        )
        with busy("starting the lab"):
            session = ExerciseSession(variant, evidence, ConsoleReporter(quiet=True))
        session.open(control_server)
        stay(session)
        return 0

    try:
        introduce()
        return run_in_sandbox(inside)
    finally:
        evidence.close()
