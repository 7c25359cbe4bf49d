"""What the core refuses. Each message is one sentence: what, where, what was expected.

Where ipvsadm has words of its own for a refusal by the kernel, the sentence begins with them: scripts
look for "Service already exists" and its like.

LvsError
├── BadValue          a field that makes no sense: its name, what was expected, what came
├── UnknownScheduler  ├── SchedulerFailed: one from a file of somebody's own
├── NoSuchService     ├── ServiceExists
├── NoSuchServer      ├── ServerExists
└── NoSuchMark
"""

from __future__ import annotations


class LvsError(Exception):
    """A command that was not carried out; nothing was changed."""


class BadValue(LvsError):
    """A value that can't be."""

    def __init__(self, field: str, expected: str, got: object) -> None:
        super().__init__(f"{field}: expected {expected}, got {got!r}.")


class UnknownScheduler(LvsError):
    pass


class SchedulerFailed(LvsError):
    pass


class NoSuchService(LvsError):
    pass


class ServiceExists(LvsError):
    pass


class NoSuchServer(LvsError):
    pass


class ServerExists(LvsError):
    pass


class NoSuchMark(LvsError):
    pass
