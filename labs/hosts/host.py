"""A host of the lab: run a command in it and get a real exit code and output.

Mininet's own cmd() types into a shell and loses exit codes, so commands are started beside
it, in the host's namespaces (mnexec -a).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labs.run.evidence import Evidence
from labs.wait import patient
from realserver_setup.apply import Result


def program(file: Path, *arguments: object) -> list[str]:
    """The command for a program of ours that needs the standard library only: it starts in no time."""
    return [sys.executable, "-S", "-E", str(file), *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Host:
    """`pid` is a process in the host's namespaces; every command run here is recorded."""

    name: str
    pid: int
    evidence: Evidence

    def run(self, argv: Sequence[str], text: str | None = None, timeout: float = 60) -> Result:
        """Run `argv` to its end; exit code 124 where it took more than `patient(timeout)` seconds."""
        limit = patient(timeout)
        try:
            done = subprocess.run(
                self._inside(argv),
                input=text,
                stdin=subprocess.DEVNULL if text is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=limit,
            )
            result = Result(done.returncode, done.stdout, done.stderr)
        except subprocess.TimeoutExpired:
            result = Result(124, "", f"not done after {limit:g} s")
        self.evidence.command(self.name, argv, text, result)
        return result

    def start(self, argv: Sequence[str], log: Path) -> subprocess.Popen[str]:
        """Start `argv` and leave it running, its output going to `log`; it ends with the sandbox."""
        with log.open("a") as output:
            return subprocess.Popen(
                self._inside(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,  # Ctrl-C at the lab's prompt is not for it
            )

    def open(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start `argv` with its standard output to be read by the caller."""
        return subprocess.Popen(
            self._inside(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return ["mnexec", "-a", str(self.pid), *argv]
