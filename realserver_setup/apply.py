"""Apply: run a script on a host. An error names the host, the script and the command.

A host is anything that runs commands: a host of a lab, a container, a fake in a test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from realserver_setup.errors import ScriptFailed

if TYPE_CHECKING:  # it imports Jinja2, which most commands of ./inv do not need
    from realserver_setup.render import Script

_SHELL_ERROR = re.compile(r": (?:line )?(\d+): ")  # `rs1/1999/realserver.sh: 12: cannot create ...`
_LAST_LINES = 10


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command: its exit code and output."""

    exit_code: int
    stdout: str
    stderr: str


class Runner(Protocol):
    """A host: `run` waits for the command to end; `text` is its standard input."""

    @property
    def name(self) -> str: ...

    def run(self, argv: Sequence[str], text: str | None = None) -> Result: ...


def apply(script: Script, host: Runner) -> Result:
    """Run `script` on `host` up to the first command that fails, and trace every command (sh -ex).

    Raises ScriptFailed.
    """
    result = host.run([script.interpreter, "-exc", script.text, script.name])
    if result.exit_code != 0:
        command = failing_command(script, result.stderr)
        raise ScriptFailed(host.name, script.name, command, result.exit_code, _last_output(result))
    return result


def apply_all(work: Iterable[tuple[Script, Runner]], at_once: int = 4) -> list[Result]:
    """Run scripts on different hosts, `at_once` in parallel; returns the results in the order of `work`.

    Raises ScriptFailed for the first script that fails, after the running scripts have ended.
    """
    pool = ThreadPoolExecutor(at_once)
    try:
        return list(pool.map(lambda item: apply(*item), work))
    finally:
        pool.shutdown(cancel_futures=True)


def failing_command(script: Script, trace: str) -> str:
    """The command that failed, from the output of `sh -ex`.

    It is the last traced command, or the line in which the shell itself has reported an error since.
    """
    for line in reversed(trace.splitlines()):
        if line.startswith("+ "):
            return line.removeprefix("+ ")
        if line.startswith(script.name) and (shell_error := _SHELL_ERROR.search(line)):
            return script.text.splitlines()[int(shell_error[1]) - 1].strip()
    return script.name


def _last_output(result: Result) -> str:
    """The last lines of output, without the shell's trace."""
    lines = [
        line for line in (result.stdout + result.stderr).splitlines() if line and not line.startswith("+ ")
    ]
    return "\n".join(lines[-_LAST_LINES:]) or "no output"
