"""The commands of the lab, for Invoke: each parses, calls one function and says how it ended.

Exit codes: 0 every check passed, 1 one failed, 2 the request or the machine can't do it.
"""

from __future__ import annotations

if __name__ == "__main__":
    from labs.terminal import startup

import importlib
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit, ParseError
from invoke.program import Program
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from labs.errors import BadRequest
from labs.terminal import streams
from labs.terminal.command_line import refusal, require_values

streams.never_fail()
ROOT = Path(__file__).resolve().parent
if os.geteuid() == 0 and ROOT.stat().st_uid:
    sys.dont_write_bytecode = True  # root's files would be in the way of the checkout's owner
LAB_HELP = {
    "servers": "Number of real servers, 1 to 200 (default 3).",
    "engine": "The director's data plane (default scapy).",
    "scheduler": "How the director picks a real server (default wrr).",
    "report": "Write the result as JSON to this file, too.",
    "cli": "Stay when the checks are done, at Mininet's prompt.",
    "show-scripts": "Print the set-up scripts, and run nothing.",
    "large": "Transfer 10 MB files as well.",
    "dialect": "Set-up scripts in the commands of 1999 (default) or in iproute2.",
    "controller": "OpenFlow framework: auto (default), ryu or os-ken.",
    "delay": "Milliseconds that packets take to and from the clients (needs the kernel's netem).",
    "loss": "Percent of the packets that get lost on the way to and from the clients (netem).",
}


class _Command(Task[Any]):
    """Invoke's, without giving -h, which is --help, to an option that begins so."""

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        return super().arg_opts(name, default, taken_names | {"h"})


task = partial(invoke_task, klass=_Command)


_KERNEL = "Debian's kernel of this series, 6.1 or 6.12, instead of this distribution's own."


def _lab(method: str, **wanted: object) -> None:
    """Run one lab."""

    def work() -> int:
        from doctor.collect_lab import answer  # imported late: `--list` needs none of it
        from labs.run.command import run_lab

        return run_lab(method, wanted, {"state": answer})

    _ended(work)


def _ended(work: Callable[[], int]) -> None:
    """Do the work and end with its exit code; what goes wrong in it is told in a sentence."""
    from labs.hosts.environment import keep_out_of_home
    from labs.machine import limits
    from labs.terminal.exits import exit_code_of

    def careful() -> int:
        limits.lift()
        keep_out_of_home()
        return work()

    code = exit_code_of(careful)
    if code:
        raise Exit(code=code)


def _lab_task(method: str, doc: str) -> Callable[..., None]:
    def lab(
        _context: Context,
        servers: str = "3",
        engine: str = "scapy",
        scheduler: str = "wrr",
        report: str = "",
        cli: bool = False,
        show_scripts: bool = False,
        large: bool = False,
        dialect: str = "1999",
        controller: str = "auto",
        delay: str = "0",
        loss: str = "0",
    ) -> None:
        _lab(
            method,
            servers=servers,
            engine=engine,
            scheduler=scheduler,
            report=report,
            cli=cli,
            show_scripts=show_scripts,
            large=large,
            dialect=dialect,
            controller=controller,
            delay=delay,
            loss=loss,
        )

    lab.__doc__ = doc
    return lab


lab_nat = task(name="lab-nat", help=LAB_HELP)(
    _lab_task("nat", "VS-NAT: the director rewrites addresses; replies pass through it.")
)
lab_tun = task(name="lab-tun", help=LAB_HELP)(
    _lab_task("tun", "VS-TUN: requests travel in IP tunnels to servers anywhere; replies go straight.")
)
lab_dr = task(name="lab-dr", help=LAB_HELP)(
    _lab_task("dr", "VS-DR: only the MAC address of a request changes; replies go straight.")
)


@task(
    help={
        "only": "Run only the tests whose name matches this pytest expression.",
        "unit": "Leave out the labs.",
        "long": "Draw new random inputs and print their seeds; without it, every run is the same.",
        "students": "Number of students to try each exercise for, 1 to 40 (default: each fault once).",
        "scenarios": "Number of random scenarios per method to run on the ebpf engine (default 10).",
        "workers": "Number of tests to run side by side (default: as many as suit this machine).",
    }
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
    """Check the code (ruff, mypy) and run every test that this machine can."""
    _require_tests()
    from tests.suite import run_suite

    wishes = {"LVS_LONG": long, "LVS_STUDENTS": students, "LVS_SCENARIOS": scenarios}
    os.environ.update({name: str(int(wish)) for name, wish in wishes.items() if wish})
    failed = run_suite(only, unit=unit, workers=workers)
    if failed:
        raise Exit(f"Failed: {', '.join(failed)}", 1)


def _require_tests() -> None:
    if not (ROOT / "tests" / "suite.py").exists():
        raise Exit("The tests are not part of a student's archive: use the whole checkout.", 2)


@task(
    name="bench",
    help={
        "methods": "Of nat, tun and dr, those to measure, with commas (default all).",
        "only": "Measure only these, with commas: the files of bench/contenders.",
        "figures": "Measure only these: throughput,segments,packets,connections,latency.",
        "growth": "Measure how cost grows instead: with connections, real servers, services.",
        "seconds": "How long one measurement takes, 1 to 60 (default 3).",
        "rounds": "How often each is measured, in turns (default 3).",
        "quick": "One round of a second each: whether it works, not how fast.",
        "keep": "Keep the results in docs/bench, too, under this name.",
    },
)
def run_bench(
    _context: Context,
    methods: str = "",
    only: str = "",
    figures: str = "",
    growth: bool = False,
    seconds: int = 3,
    rounds: int = 3,
    quick: bool = False,
    keep: str = "",
) -> None:
    """Measure the data planes side by side: kernel IPVS, ours, and what people use instead."""
    from bench.command import Wanted, bench

    wanted = Wanted(methods, only, figures, growth, seconds, rounds, quick, keep)
    _ended(lambda: bench(wanted))


STUDENT_HELP = (
    "Whose exercise: an id that makes it a little different for everybody (default: your user name)."
)
WHOSE_HELP = "Whose exercise, where several are running."
WHICH_HELP = "Which lab, where several are running: nat, e04, or the name of its run's folder."


@task
def exercises(_context: Context) -> None:
    """List the exercises: a virtual server with something wrong in it, or something to be built."""
    from classroom import command

    _ended(command.overview)


@task(positional=["name"], help={"name": "One of ./inv exercises.", "student": STUDENT_HELP})
def exercise(_context: Context, name: str, student: str = "") -> None:
    """Start an exercise in its sandbox, and stay with it: ./inv exercise e04 --student ID."""
    from classroom import command

    _ended(lambda: command.exercise(name, student))


@task(help={"student": WHOSE_HELP, "lab": WHICH_HELP})
def check(_context: Context, student: str = "", lab: str = "") -> None:
    """Say what works in the exercise that is running, and what does not."""
    from classroom import command

    _ended(lambda: command.check(student, lab))


@task(
    help={
        "student": WHOSE_HELP,
        "lab": WHICH_HELP,
        "again": "Show the hints that are open; open no other.",
    }
)
def hint(_context: Context, student: str = "", lab: str = "", again: bool = False) -> None:
    """Open the next hint of the exercise that is running."""
    from classroom import command

    _ended(lambda: command.hint(student, lab, again=again))


@task(
    positional=["host"],
    help={
        "host": "Such as d, rs1 or c1.",
        "student": WHOSE_HELP,
        "lab": WHICH_HELP,
        "command": "Run this there, and nothing else.",
    },
)
def shell(_context: Context, host: str, student: str = "", lab: str = "", command: str = "") -> None:
    """Open a shell on a host of the exercise, or of the lab with --cli, that is running."""
    from classroom import command as classroom

    _ended(lambda: classroom.shell(host, student, command, lab))


@task(
    help={
        "student": WHOSE_HELP,
        "lab": WHICH_HELP,
        "host": "The diagnosis: on which host the fault was.",
        "cause": "What it was: a word of ./inv diagnosis.",
        "evidence": "What settled it: a word of ./inv diagnosis.",
        "output": "The file to write (default EXERCISE-STUDENT.lvs, here).",
    }
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
    """Write one file to hand in: what the lab does now, and your diagnosis."""
    from classroom import command
    from classroom.diagnosis import Diagnosis

    _ended(lambda: command.submit(student, Diagnosis(host, cause, evidence), output, lab))


@task
def diagnosis(_context: Context) -> None:
    """List the words of a diagnosis: causes and kinds of evidence."""
    from classroom import command

    _ended(command.words)


SECRET_HELP = "The file that holds the class's secret (default: LVS_CLASS_SECRET, else the practice key)."


@task(
    positional=["folder"],
    help={
        "folder": "Where the evidence is that was handed in, in subfolders and ZIP archives, too.",
        "secret": SECRET_HELP,
        "output": "The folder for the reports (default FOLDER/grades).",
    },
)
def grade(_context: Context, folder: str, secret: str = "", output: str = "") -> None:
    """Mark what students have handed in: reports for them, a table for you. It needs no lab."""
    work = _of_teachers("grade").grade
    _ended(lambda: work(folder, secret, output))


@task(
    name="student-archive",
    help={
        "secret": SECRET_HELP,
        "output": "The file to write (default lvs-lab-students.tar.gz, here).",
    },
)
def student_archive(_context: Context, secret: str = "", output: str = "") -> None:
    """Pack this checkout for students: without solutions, with the public key of the class."""
    work = _of_teachers("archive").student_archive
    _ended(lambda: work(secret, output))


def _of_teachers(name: str) -> ModuleType:
    """A module of the classroom that students do not get."""
    try:
        return importlib.import_module(f"classroom.grading.{name}")
    except ModuleNotFoundError as missing:
        if missing.name != "classroom.grading":
            raise
    raise Exit("This is a student's archive of the exercises: only the teacher's checkout can do that.", 2)


@task(
    help={
        "student": WHOSE_HELP,
        "lab": WHICH_HELP,
        "machine": "Look at the machine, also while a lab runs.",
    }
)
def doctor(_context: Context, student: str = "", lab: str = "", machine: bool = False) -> None:
    """Say what is wrong in the lab that runs; where none does, what this machine can do and what helps."""
    from doctor import command

    _ended(lambda: command.doctor(student, lab, machine=machine))


@task(
    help={
        "servers": "The most real servers, 1 to 200 (default 50; with --quick 20).",
        "methods": "Of nat, tun and dr, those to compare, with commas (default all).",
        "engine": "The director's data plane (default scapy).",
        "rate": "A real server's link in kbit/s; the director's has ten times that (default 200).",
        "quick": "Fewer points, shorter: in a minute and a half.",
        "dispatch": "Instead, other ways to give requests to servers: clients, DNS, proxy, redirection.",
        "show": "Show the result of an earlier comparison again, from its folder.",
    }
)
def compare(
    _context: Context,
    servers: str = "",
    methods: str = "",
    engine: str = "scapy",
    rate: str = "",
    quick: bool = False,
    dispatch: bool = False,
    show: str = "",
) -> None:
    """Compare the three methods by experiment: what each costs and how far it scales."""
    from compare import command

    if show:
        _ended(lambda: command.show(Path(show)))
    else:
        _ended(
            lambda: command.compare(
                servers=servers, methods=methods, engine=engine, rate=rate, quick=quick, dispatch=dispatch
            )
        )


@task(
    help={
        "command": "The task and its options; ./inv vm lab-nat --servers 5 says the same.",
        "shell": "A shell in the machine instead.",
        "kernel": _KERNEL,
    }
)
def vm(_context: Context, command: str = "", shell: bool = False, kernel: str = "") -> None:
    """Run another task in a virtual machine with a stock kernel: ./inv vm lab-nat."""
    from vm.command import run_task

    _ended(lambda: run_task(shlex.split(command), shell=shell, series=kernel))


@task(
    name="vm-test",
    help={
        "only": "Run only the tests whose name matches this pytest expression.",
        "more": "Compare so many new scenarios for each method and scheduler, and nothing else.",
        "seed": "Makes the new scenarios; another number makes others.",
        "replay": "Play one scenario on both directors and print what each does, as 'wlc 1999/3 (nat)'.",
        "record": "Record again (oracle/recorded) where a scenario, the player or the kernel has changed.",
        "force": "With --record: record every scenario again.",
        "minutes": "Run only tests that should finish within N minutes; the others are listed at the end.",
        "kernel": _KERNEL,
    },
)
def vm_test(
    _context: Context,
    only: str = "",
    more: int = 0,
    seed: int = 2000,
    replay: str = "",
    record: bool = False,
    force: bool = False,
    minutes: int = 0,
    kernel: str = "",
) -> None:
    """Compare the director with kernel IPVS, in a virtual machine where this kernel has none."""
    _require_tests()
    from vm import command

    if replay:
        _ended(lambda: command.replay(replay, series=kernel))
    else:
        _ended(
            lambda: command.run_suite(
                only,
                more=more,
                seed=seed,
                record=record,
                force=force,
                minutes=minutes,
                series=kernel,
            )
        )


class _OwnConfig(Config):
    """Without what somebody may have told Invoke for other projects: ~/.invoke.yaml, INVOKE_*."""

    def load_system(self, merge: bool = True) -> None:
        pass

    def load_user(self, merge: bool = True) -> None:
        pass

    def load_shell_env(self) -> None:
        pass


class LabProgram(Program):
    """Invoke, except that a command line that makes no sense ends with 2, like all that can't be done."""

    def parse_core(self, argv: list[str] | None) -> None:
        with self._refusal(argv or sys.argv):
            super().parse_core(argv)

    def parse_tasks(self) -> None:
        with self._refusal(self.argv):
            _require_each_once(self.argv)
            words = self.core.unparsed
            if {"-h", "--help"} & set(words[1:]):  # Invoke would take it for the name of an exercise
                self.args.help.set_value(words[0], cast=False)
                words.clear()
            super().parse_tasks()
        names = [one.name or "" for one in self.tasks]
        if len(names) > 1:
            raise BadRequest(f"One command at a time, not {' and '.join(names)}: type each by itself.")
        for one in self.tasks:
            require_values(one)

    def parse_cleanup(self) -> None:
        with self._refusal(self.argv):
            if isinstance(self.args.list.value, str):  # there are no collections in the collection
                self.args.list.set_value(True, cast=False)
            super().parse_cleanup()

    def print_help(self) -> None:
        """All commands: Invoke's options in front of them are of no use here."""
        print(f"Usage: {self.binary} COMMAND [OPTIONS], and {self.binary} COMMAND --help for its options.\n")
        if not hasattr(self, "collection"):
            self.load_collection()
            self.scoped_collection, self.list_root, self.list_depth = self.collection, None, None
            self.list_format = "flat"
        self.list_tasks()

    def print_task_help(self, name: str) -> None:
        """Invoke's own offers options in front of the command, and other commands behind it."""
        command = self.parser.contexts[name]
        words = "".join(f" {one.name.upper()}" for one in command.positional_args)
        options = command.help_tuples()
        print(f"Usage: {self.binary} {name}{words}{' [OPTIONS]' if options else ''}\n")
        print(f"  {inspect.getdoc(self.collection[name])}\n")
        if options:
            print("Options:\n")
            self.print_columns(options)

    @contextmanager
    def _refusal(self, argv: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            known = self.collection.to_contexts() if hasattr(self, "collection") else ()
            raise refusal(error, known) from None
        except ValueError as error:  # from int(), by which Invoke takes the value of such an option
            wrong = str(error).partition(": ")[2].strip("'") or str(error)
            words = [part for word in argv for part in word.split("=", 1)]
            option = next((f"{one} " for one, value in pairwise(words) if value == wrong), "")
            raise BadRequest(f"{option}{wrong!r} is not a whole number.") from None


_WITH_VALUE = ("--command", "-c", "--kernel", "-k")  # options of `vm`


def for_vm(arguments: list[str]) -> list[str]:
    """What follows `vm` and its own options is a command line of its own: it becomes one word."""
    if "vm" not in arguments:
        return arguments
    begins = arguments.index("vm") + 1
    while begins < len(arguments) and arguments[begins].startswith("-"):
        begins += 2 if arguments[begins] in _WITH_VALUE else 1
    words = arguments[begins:]
    if {"-h", "--help"} & set(words):  # it needs no machine
        return [*arguments[: arguments.index("vm")], *words]
    return [*arguments[:begins], "--command", shlex.join(words)] if words else arguments


def _require_each_once(argv: Sequence[str]) -> None:
    """Raises BadRequest: Invoke takes the second value for the name of a command."""
    options = [word.partition("=")[0] for word in argv if word.startswith("--") and word != "--"]
    for option in options:
        if options.count(option) > 1:
            raise BadRequest(f"{option} is there twice: say it once.")


def main() -> int:
    """What ./inv runs; the exit code."""
    from labs.terminal.exits import exit_code_of

    program = LabProgram(
        name="The labs on Invoke", binary="./inv", version=version("invoke"), config_class=_OwnConfig
    )

    def work() -> int:
        try:
            program.run(for_vm(sys.argv))
        except SystemExit as end:
            if isinstance(end.__context__, KeyboardInterrupt):
                raise end.__context__ from None
            if isinstance(end.__context__, BrokenPipeError):
                raise
            return end.code if isinstance(end.code, int) else 0 if end.code is None else 2
        return 0

    return exit_code_of(work)


if __name__ == "__main__":  # ./inv comes here; `.venv/bin/invoke` loads the tasks alone
    try:
        startup.raise_interrupts()
        code = main()
    except KeyboardInterrupt:
        startup.die_of_interrupt()
    startup.end_by_interrupt()
    sys.exit(code)
