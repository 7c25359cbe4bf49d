"""The commands of ./inv, for Invoke: each parses its options, calls one function and exits with its code.

Exit codes: 0 every check passed, 1 a check failed, 2 the request is invalid or the machine can't do it.
"""

from __future__ import annotations

if __name__ == "__main__":
    from labs.terminal import startup

    startup.import_invoke()

import importlib
import os
import shlex
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from invoke import __version__
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task as invoke_task

from bench.options import BenchOptions
from compare.options import CompareOptions
from failover.options import FailoverOptions
from labs.run.options import HaOptions, LabOptions, ViewOptions, from_words, help_of, signature_of
from labs.terminal import streams
from labs.terminal.command_line import Command, LabProgram, OwnConfig, for_view, for_vm
from vm.options import KERNEL, VmTestOptions

streams.never_fail()
ROOT = Path(__file__).resolve().parent
if os.geteuid() == 0 and ROOT.stat().st_uid:
    sys.dont_write_bytecode = True  # the checkout's owner could not remove root's files

STUDENTS, TEACHERS, DEVELOPERS = "For students", "For teachers", "For developers"
GRADING, TESTS = ROOT / "classroom" / "grading" / "__init__.py", ROOT / "tests" / "suite.py"
task = partial(invoke_task, klass=Command)

WHOSE = "Student whose exercise to use, if several are running."
WHICH = "Lab to use, if several are running: nat, e04, or the name of its run's folder."
SECRET = "File with the class secret (default: LVS_CLASS_SECRET, else the practice key)."
STUDENT = "Student id; each gets a slightly different variant (default: your user name)."


def _run(work: Callable[[], int]) -> None:
    """Do the work and exit with its code. Prints an error as one sentence."""
    from labs.hosts.environment import keep_out_of_home
    from labs.machine import limits
    from labs.terminal.exits import exit_code_of

    def prepared() -> int:
        limits.lift()
        keep_out_of_home()
        return work()

    code = exit_code_of(prepared)
    if code:
        raise Exit(code=code)


def _task_with(options: type, **settings: Any) -> Callable[[Callable[..., None]], Any]:
    """A task whose options are the fields of a dataclass (labs/run/options.py)."""

    def decorate(body: Callable[..., None]) -> Any:
        body.__signature__ = signature_of(options)  # type: ignore[attr-defined]
        return task(help=help_of(options), **settings)(body)

    return decorate


def _lab_task(method: str, description: str, options: type[LabOptions] = LabOptions) -> Any:
    def lab(_context: Context, **words: Any) -> None:
        def work() -> int:
            from labs.run.lab import run_lab  # late: --list does not need it

            return run_lab(method, from_words(options, words), {"state": _state}, _watcher)

        _run(work)

    lab.__doc__ = description
    return _task_with(options, name=f"lab-{method}", audience=STUDENTS)(lab)


def _watcher(options: ViewOptions) -> Any:
    from view.live_view import LiveView  # late: few labs are watched

    return LiveView(options)


def _state(running: Any) -> Any:
    from doctor.collect_lab import answer  # late: few labs are examined

    return answer(running)


lab_nat = _lab_task("nat", "VS-NAT: the director rewrites addresses and ports.")
lab_tun = _lab_task("tun", "VS-TUN: the director sends requests through IP tunnels.")
lab_dr = _lab_task("dr", "VS-DR: the director changes only the MAC address.")
lab_ha = _lab_task("ha", "High availability: servers fail, and a director fails.", HaOptions)


@task(audience=STUDENTS)
def exercises(_context: Context) -> None:
    """List the exercises: servers to repair, build or measure."""
    from classroom import command

    _run(command.overview)


@task(
    audience=STUDENTS,
    positional=["name"],
    help={"name": "An exercise that ./inv exercises lists.", "student": STUDENT, **help_of(ViewOptions)},
)
def exercise(
    _context: Context,
    name: str,
    student: str = "",
    view: bool = False,
    view_only: bool = False,
    view_host: str = "127.0.0.1",
    view_port: int = 0,
) -> None:
    """Start an exercise and keep it running in this terminal.

    Example: ./inv exercise e04 --student ID
    """
    from classroom import command

    def work() -> int:
        options = ViewOptions(view, view_only, view_host, view_port)
        return command.exercise(name, student, (lambda: _watcher(options)) if options.wanted else None)

    _run(work)


@task(audience=STUDENTS, help={"student": WHOSE, "lab": WHICH})
def check(_context: Context, student: str = "", lab: str = "") -> None:
    """Check the running exercise: what works and what does not."""
    from classroom import command

    _run(lambda: command.check(student, lab))


@task(
    audience=STUDENTS,
    help={"student": WHOSE, "lab": WHICH, "again": "Repeat the hints given so far, without a new one."},
)
def hint(_context: Context, student: str = "", lab: str = "", again: bool = False) -> None:
    """Show the next hint for the running exercise."""
    from classroom import command

    _run(lambda: command.hint(student, lab, again=again))


@task(
    audience=STUDENTS,
    positional=["host"],
    help={
        "host": "Name of a host, such as d, rs1 or c1.",
        "student": WHOSE,
        "lab": WHICH,
        "command": "Run this command line there, without an interactive shell.",
    },
)
def shell(_context: Context, host: str, student: str = "", lab: str = "", command: str = "") -> None:
    """Open a shell on a host of a running lab or exercise.

    A lab must have been started with --cli.
    """
    from classroom import command as classroom

    _run(lambda: classroom.shell(host, student, command, lab))


@task(
    audience=STUDENTS,
    help={
        "student": WHOSE,
        "lab": WHICH,
        "host": "Diagnosis: the host with the fault.",
        "cause": "Diagnosis: the cause, a word from ./inv diagnosis.",
        "evidence": "Diagnosis: the evidence for it, a word from ./inv diagnosis.",
        "output": "File to write (default EXERCISE-STUDENT.lvs in this folder).",
    },
)
def submit(
    _context: Context,
    student: str = "",
    lab: str = "",
    host: str = "",
    cause: str = "",
    evidence: str = "",
    output: str = "",
) -> None:
    """Write the file to hand in: state of the lab, and diagnosis."""
    from classroom.submit import submit

    _run(lambda: submit(student, {"host": host, "cause": cause, "evidence": evidence}, output, lab))


@task(audience=STUDENTS)
def status(_context: Context) -> None:
    """Show what is running, for how long, and how far you are."""
    from classroom import command

    _run(command.status)


@task(audience=STUDENTS, help={"student": WHOSE, "lab": WHICH})
def reset(_context: Context, student: str = "", lab: str = "") -> None:
    """Restart the running exercise in its original state.

    Its journal is kept: hints, checks and time continue.
    """
    from classroom import command

    _run(lambda: command.reset(student, lab))


@task(audience=STUDENTS)
def diagnosis(_context: Context) -> None:
    """List the words of a diagnosis: causes and evidence."""
    from classroom import command

    _run(command.words)


@task(
    audience=STUDENTS,
    help={
        "student": WHOSE,
        "lab": WHICH,
        "machine": "Examine the machine, even if a lab is running.",
    },
)
def doctor(_context: Context, student: str = "", lab: str = "", machine: bool = False) -> None:
    """Diagnose the running lab, or this machine if none runs."""
    from doctor import command

    _run(lambda: command.doctor(student, lab, machine=machine))


@task(
    audience=STUDENTS,
    help={"lab": "Run to use: nat, e04, or the name of its folder (default: the newest)."},
)
def wireshark(_context: Context, lab: str = "") -> None:
    """Merge the captures of a run into one file for Wireshark.

    If the lab is still running: all that it has captured so far.
    """
    from labs.run.merged_capture import merged

    _run(lambda: merged(lab))


@task(
    audience=STUDENTS,
    help={
        "run": "Run to replay: the name of its folder, or nat, e04 (default: the newest).",
        "html": "Write one file instead, which opens in a browser without any server.",
        "wall": "For teachers: show all exercises that are running on this machine.",
        "view-host": "Address to listen on (default 127.0.0.1: this machine only).",
        "view-port": "Port to listen on (default: any free one).",
    },
)
def view(
    _context: Context,
    run: str = "",
    html: str = "",
    wall: bool = False,
    view_host: str = "127.0.0.1",
    view_port: int = 0,
) -> None:
    """Watch a run in the browser, from its folder.

    Example: ./inv view nat

    To watch a lab while it runs: ./inv lab-nat --view
    """
    from view import command

    _run(lambda: command.view(run, html=html, wall=wall, host=view_host, port=view_port))


@_task_with(CompareOptions, audience=STUDENTS)
def compare(_context: Context, **words: Any) -> None:
    """Compare cost and scalability of the methods by experiment."""

    def work() -> int:
        from compare import command

        options = from_words(CompareOptions, words)
        return command.show(Path(options.show)) if options.show else command.compare(options)

    _run(work)


@_task_with(FailoverOptions, name="failover", audience=STUDENTS)
def run_failover(_context: Context, **words: Any) -> None:
    """Measure what the death of a director costs its clients."""

    def work() -> int:
        from failover.command import failover

        return failover(from_words(FailoverOptions, words))

    _run(work)


def _teachers_module(name: str) -> ModuleType:
    """A module of classroom.grading. Raises Exit in a student's archive, which does not contain it."""
    try:
        return importlib.import_module(f"classroom.grading.{name}")
    except ModuleNotFoundError as missing:
        if missing.name != "classroom.grading":
            raise
    raise Exit("This command needs the teacher's checkout: a student's archive does not contain it.", 2)


@task(
    audience=TEACHERS,
    needs=GRADING,
    positional=["folder"],
    help={
        "folder": "Folder with the submissions; subfolders and ZIP archives are searched.",
        "secret": SECRET,
        "output": "Folder for the reports (default FOLDER/grades).",
        "count": "Which of a student's submissions for an exercise counts: latest (default), best, first.",
        "lessons": "Address at which the students' archive is online, for links to the lessons.",
    },
)
def grade(
    _context: Context,
    folder: str,
    secret: str = "",
    output: str = "",
    count: str = "latest",
    lessons: str = "",
) -> None:
    """Grade submissions: reports for students, a table for you.

    No lab is built. Exit codes: 1 if a submission was refused, 2 if all of them are sealed for another
    class.
    """
    work = _teachers_module("grade").grade
    _run(lambda: work(folder, secret, output, count, lessons))


@task(
    audience=TEACHERS,
    needs=GRADING,
    positional=["name"],
    help={
        "name": "An exercise that ./inv exercises lists.",
        "student": "Students to write a sheet for, separated by commas (default: your user name).",
        "output": "File to write (default NAME-handout.html in this folder).",
    },
)
def handout(_context: Context, name: str, student: str = "", output: str = "") -> None:
    """Write an exercise for printing, one sheet per student.

    Each sheet has the picture, symptom and task, and room for the diagnosis.
    """
    work = _teachers_module("sheets").handout
    _run(lambda: work(name, student, output))


@task(
    audience=TEACHERS,
    needs=GRADING,
    positional=["name"],
    help={
        "name": "An exercise that ./inv exercises lists.",
        "student": "Show only this student's variant (default: every fault of the exercise).",
        "output": "HTML page to write, for printing (default: show the text here).",
    },
)
def solution(_context: Context, name: str, student: str = "", output: str = "") -> None:
    """Show the solution of an exercise: cause, evidence, repair."""
    work = _teachers_module("sheets").solution
    _run(lambda: work(name, student, output))


@task(
    name="student-archive",
    audience=TEACHERS,
    needs=GRADING,
    help={
        "secret": SECRET,
        "output": "File to write (default lvs-lab-students.tar.gz in this folder).",
    },
)
def student_archive(_context: Context, secret: str = "", output: str = "") -> None:
    """Pack this checkout for students, without the solutions.

    The archive contains the public key of the class.
    """
    work = _teachers_module("archive").student_archive
    _run(lambda: work(secret, output))


@task(
    audience=DEVELOPERS,
    needs=TESTS,
    help={
        "only": "Run only tests whose names match this pytest expression.",
        "unit": "Skip the tests that build labs.",
        "long": "Draw new random inputs and print their seeds; by default every run is the same.",
        "students": "Number of students to run each exercise for, 1 to 40 (default: each fault once).",
        "scenarios": "Number of random scenarios per method to run on the ebpf engine (default 10).",
        "workers": "Number of tests to run in parallel (default: what suits this machine).",
    },
)
def test(
    _context: Context,
    only: str = "",
    unit: bool = False,
    long: bool = False,
    students: int = 0,
    scenarios: int = 0,
    workers: int = 0,
) -> None:
    """Check the code and run all tests this machine supports."""
    _require_tests()
    from tests.suite import run_suite

    settings = {"LVS_LONG": long, "LVS_STUDENTS": students, "LVS_SCENARIOS": scenarios}
    os.environ.update({name: str(int(value)) for name, value in settings.items() if value})
    failed = run_suite(only, unit=unit, workers=workers)
    if failed:
        raise Exit(f"Failed: {', '.join(failed)}", 1)


def _require_tests() -> None:
    if not TESTS.exists():
        raise Exit("A student's archive has no tests: use the full checkout.", 2)


@_task_with(BenchOptions, name="bench", audience=DEVELOPERS)
def run_bench(_context: Context, **words: Any) -> None:
    """Benchmark kernel IPVS, our engines, and alternatives."""

    def work() -> int:
        from bench.command import bench

        return bench(from_words(BenchOptions, words))

    _run(work)


@task(
    audience=DEVELOPERS,
    help={
        "command": "Task to run, with its options; equivalent to ./inv vm lab-nat --servers 5.",
        "shell": "Open a shell in the virtual machine instead.",
        "kernel": KERNEL,
    },
)
def vm(_context: Context, command: str = "", shell: bool = False, kernel: str = "") -> None:
    """Run a task in a virtual machine with a stock kernel.

    Example: ./inv vm lab-nat --servers 5
    """
    from vm.runner import run_task

    _run(lambda: run_task(shlex.split(command), shell=shell, series=kernel))


@_task_with(VmTestOptions, name="vm-test", audience=DEVELOPERS, needs=TESTS)
def vm_test(_context: Context, **words: Any) -> None:
    """Compare the director with kernel IPVS.

    If this kernel has no IPVS, it runs in a virtual machine.
    """
    _require_tests()

    def work() -> int:
        from vm import runner

        options = from_words(VmTestOptions, words)
        if options.replay:
            return runner.replay(options.replay, series=options.kernel)
        return runner.run_suite(options)

    _run(work)


def main() -> int:
    """Run the command line of ./inv and return its exit code."""
    from labs.terminal.exits import exit_code_of

    program = LabProgram(
        name="The labs on Invoke", binary="./inv", version=__version__, config_class=OwnConfig
    )

    def work() -> int:
        try:
            program.run(for_view(for_vm(sys.argv)))
        except SystemExit as end:
            if isinstance(end.__context__, KeyboardInterrupt):
                raise end.__context__ from None
            if isinstance(end.__context__, BrokenPipeError):
                raise
            return end.code if isinstance(end.code, int) else 0 if end.code is None else 2
        return 0

    return exit_code_of(work)


if __name__ == "__main__":  # ./inv; `.venv/bin/invoke` only loads the tasks
    try:
        startup.raise_interrupts()
        code = main()
    except KeyboardInterrupt:
        startup.die_of_interrupt()
    startup.end_by_interrupt()
    sys.exit(code)
