"""Why the core refuses a command. Each message is one sentence: what, where, what was expected.

Where ipvsadm has its own words for a refusal by the kernel, the sentence begins with them: scripts look for
"Service already exists" and the like.

LvsError
├── BadValue          a field with an impossible value: its name, what was expected, what it got
├── UnknownScheduler  ├── SchedulerFailed: a custom one
├── NoSuchService     ├── ServiceExists
├── NoSuchServer      ├── ServerExists
└── NoSuchMark
"""

from __future__ import annotations


class LvsError(Exception):
    """A command was not carried out; nothing has changed."""


class BadValue(LvsError):
    """A field has an impossible value."""

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
