"""Errors in the set-up of a node.

SetupError            one sentence that says what, where and what to do next
├── InvalidValue      an illegal value; nothing was rendered
├── RenderError       a template lacks a value, or a value does not fit into it
├── ScriptFailed      a command of a script failed on a host
└── DaemonFailed      a daemon did not start
"""

from __future__ import annotations


class SetupError(Exception):
    """The text is a sentence for users."""


class InvalidValue(SetupError, ValueError):
    """A field has an illegal value."""

    def __init__(self, field: str, expected: str, got: object) -> None:
        super().__init__(f"{field}: expected {expected}, got {got!r}.")
        self.field = field
        self.expected = expected
        self.got = got


class RenderError(SetupError):
    """A script or configuration can't be rendered from these values."""


class ScriptFailed(SetupError):
    """A script stopped at a failing command; the attributes say where."""

    def __init__(self, host: str, script: str, command: str, exit_code: int, output: str) -> None:
        super().__init__(f"{host}: {script} failed at `{command}` with exit code {exit_code}: {output}")
        self.host = host
        self.script = script
        self.command = command
        self.exit_code = exit_code
        self.output = output


class DaemonFailed(SetupError):
    """A daemon could not be started."""
