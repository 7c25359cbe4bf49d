"""Apply: a host runs a script, and a failure names the host, the script and the command.

The host is whatever can run a command: a lab's host, a container, a fake in a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from realserver_setup.errors import ScriptFailed
from realserver_setup.render import Script

_COMPLAINT = re.compile(r": (?:line )?(\d+): ")  # `rs1/1999/realserver.sh: 12: cannot create ...`
_LAST_LINES = 10


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended: its exit code, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str


class Runner(Protocol):
    """A host that runs a command to its end. `text`, if any, is the command's standard input."""

    @property
    def name(self) -> str: ...

    def run(self, argv: Sequence[str], text: str | None = None) -> Result: ...


def apply(script: Script, host: Runner) -> Result:
    """Run `script` on `host`; every command is traced (sh -x), the first that fails ends it.

    Raises ScriptFailed.
    """
    result = host.run([script.interpreter, "-exc", script.text, script.name])
    if result.exit_code != 0:
        command = failing_command(script, result.stderr)
        raise ScriptFailed(host.name, script.name, command, result.exit_code, _said(result))
    return result


def apply_all(work: Iterable[tuple[Script, Runner]], at_once: int = 4) -> list[Result]:
    """Run scripts on different hosts, a few at once; the results in the order of `work`.

    Raises ScriptFailed for the first that fails, once those that had begun have ended.
    """
    pool = ThreadPoolExecutor(at_once)
    try:
        return list(pool.map(lambda item: apply(*item), work))
    finally:
        pool.shutdown(cancel_futures=True)


def failing_command(script: Script, trace: str) -> str:
    """The command that ended a script, from what `sh -ex` wrote.

    It is the last one traced, unless the shell itself complained about a line later on.
    """
    for line in reversed(trace.splitlines()):
        if line.startswith("+ "):
            return line.removeprefix("+ ")
        if line.startswith(script.name) and (complaint := _COMPLAINT.search(line)):
            return script.text.splitlines()[int(complaint[1]) - 1].strip()
    return script.name


def _said(result: Result) -> str:
    """The last lines of output that are not the shell's trace."""
    lines = [
        line for line in (result.stdout + result.stderr).splitlines() if line and not line.startswith("+ ")
    ]
    return "\n".join(lines[-_LAST_LINES:]) or "no output"
