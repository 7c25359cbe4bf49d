"""What can go wrong while a machine is set up.

SetupError            a sentence that says what, where and what to do next
├── InvalidValue      a value that makes no sense; nothing was rendered
├── RenderError       a template asks for a value that it was not given, or that has no place in it
├── ScriptFailed      a host ran a script, and a command of it failed
└── DaemonFailed      a daemon did not start
"""

from __future__ import annotations


class SetupError(Exception):
    """Its text is for the person who sets the machine up."""


class InvalidValue(SetupError, ValueError):
    """One field holds what it must not."""

    def __init__(self, field: str, expected: str, got: object) -> None:
        super().__init__(f"{field}: expected {expected}, got {got!r}.")
        self.field = field
        self.expected = expected
        self.got = got


class RenderError(SetupError):
    """A script or a configuration can't be written from these values."""


class ScriptFailed(SetupError):
    """A script stopped at a command; the attributes say where, the text says it all."""

    def __init__(self, host: str, script: str, command: str, exit_code: int, output: str) -> None:
        super().__init__(f"{host}: {script} failed at `{command}` with exit code {exit_code}: {output}")
        self.host = host
        self.script = script
        self.command = command
        self.exit_code = exit_code
        self.output = output


class DaemonFailed(SetupError):
    """A server or tunnel process could not be started."""
