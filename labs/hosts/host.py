"""A host of the lab: run a command in it and get its exit code and output, or leave a daemon running.

Mininet's own cmd() types into a shell and loses exit codes, so commands are started beside it, in the
host's namespaces (mnexec -a).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labs.errors import BuildFailed
from labs.run.evidence import Evidence
from labs.wait import patient, wait_for
from realserver_setup.apply import Result
from realserver_setup.forked_programs import run_forked


def probe(kind: str, *arguments: object) -> list[str]:
    """The command for a probe (labs/hosts/in_host.py): `connect` or `arp`."""
    return program(_PROBES, kind, *arguments)


def program(file: Path, *arguments: object) -> list[str]:
    """The command for a program of ours that needs the standard library only; without site it starts fast."""
    return [*_OURS, str(file), *map(str, arguments)]


PROGRAMS = Path("/run/lvs-programs.sock")  # in the sandbox: there, such programs start even faster
_OURS = (sys.executable, "-S", "-E")


@dataclass(frozen=True, slots=True)
class Host:
    """`pid` is a process in the host's namespaces; every command is recorded as evidence."""

    name: str
    pid: int
    evidence: Evidence

    def run(self, argv: Sequence[str], text: str | None = None, timeout: float = 60) -> Result:
        """Run `argv` to its end; exit code 124 if it takes longer than `patient(timeout)`."""
        limit = patient(timeout)
        try:
            result = self._forked(argv, text, limit) or self._run(argv, text, limit)
        except subprocess.TimeoutExpired:
            result = Result(124, "", f"timed out after {limit:g} s")
        self.evidence.command(self.name, argv, text, result)
        return result

    def _forked(self, argv: Sequence[str], text: str | None, seconds: float) -> Result | None:
        """The result of a program of ours, run by the fork server; None without it, or for other programs."""
        ours = tuple(argv[: len(_OURS)]) == _OURS
        return run_forked(PROGRAMS, self.pid, argv[len(_OURS) :], text, seconds) if ours else None

    def _run(self, argv: Sequence[str], text: str | None, seconds: float) -> Result:
        done = subprocess.run(
            self._inside(argv),
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def start(self, argv: Sequence[str], log: Path) -> subprocess.Popen[str]:
        """Start `argv` in the background, with its output in `log`; it ends with the sandbox."""
        with log.open("a") as output:
            return subprocess.Popen(
                self._inside(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,  # Ctrl-C at the lab's prompt must not reach it
            )

    def open(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start `argv`; the caller reads its output."""
        return subprocess.Popen(
            self._inside(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def talk(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start `argv`; the caller writes its input and reads its output."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self._inside(argv), stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return ["mnexec", "-a", str(self.pid), *argv]


_PROBES = Path(__file__).resolve().parent / "in_host.py"
_TIMEOUT = 60  # seconds


@dataclass(frozen=True, slots=True)
class Daemon:
    """A background process: `name` is for people, its output goes to `log`."""

    name: str
    process: subprocess.Popen[Any]
    log: Path

    def wait(self, ready: Callable[[], bool], what: str, seconds: float = 0) -> None:
        """Wait until `ready`, which `what` describes. Raises BuildFailed, at once if the process ends.

        `seconds` is the time that it takes in any case.
        """

        def poll() -> bool:
            ended = self.ended()
            if ended:
                raise BuildFailed(ended)
            return ready()

        wait_for(poll, _TIMEOUT + seconds, what, BuildFailed)

    def ended(self) -> str:
        """A message that the process has ended, with its signal, if any, and output; empty while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        killed = f" by {signal.Signals(-code).name}" if code < 0 else ""
        return f"{self.name} ended{killed}: {self.log.read_text(errors='replace').strip()}"
