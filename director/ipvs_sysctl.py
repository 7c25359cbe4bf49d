"""ipvs-sysctl: the director's settings, with the names of the kernel's and the syntax of sysctl(8).

The kernel has its own under net.ipv4.vs; the director's values are separate.
Exit codes: 0 done, 1 no director, 2 a wrong line, 255 refused.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from director.control.cli import (
    NO_VALUE,
    REFUSED,
    Fields,
    ToolError,
    UsageError,
    apply,
    director_info,
    getopt,
    run,
)
from director.formats import parse_number

PROGRAM = "ipvs-sysctl"
PREFIX = "net.ipv4.vs."
USAGE = f"""\
{PROGRAM} -a                      list all settings
{PROGRAM} NAME ...                show these
{PROGRAM} [-w] NAME=VALUE ...     change these, all or none
{PROGRAM} -h                      this help

The prefix {PREFIX} of a name is optional.
"""
_KINDS = dict.fromkeys("awh", NO_VALUE)


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code."""
    return run(PROGRAM, _work, arguments)


def _work(arguments: Sequence[str]) -> str:
    """The output of one command line. Raises ToolError."""
    given, words = getopt(PROGRAM, arguments, _KINDS)
    letters = {letter for letter, _ in given}
    if "h" in letters:
        return USAGE
    if "a" in letters:
        if words or "w" in letters:
            raise UsageError("-a takes no other options and no names.")
        return _lines(dict(sorted(_settings().items())))
    if not words:
        raise UsageError(f"a NAME or a NAME=VALUE is needed; {PROGRAM} -h explains them.")
    if "w" in letters or any("=" in word for word in words):
        return _set(words)
    return _show([_name(word) for word in words])


def _settings() -> Fields:
    settings: Fields = director_info()["sysctls"]
    return settings


def _show(names: Sequence[str]) -> str:
    settings = _settings()
    for name in names:
        if name not in settings:
            raise ToolError(f"there is no setting {name!r}; {PROGRAM} -a lists them.", REFUSED)
    return _lines({name: settings[name] for name in names})


def _set(words: Sequence[str]) -> str:
    """Returns the new settings as sysctl prints them."""
    pairs = dict(_assignment(word) for word in words)
    apply([{"command": "SetSysctl", "name": name, "value": value} for name, value in pairs.items()])
    return _lines(pairs)


def _assignment(word: str) -> tuple[str, int]:
    name, equals, text = word.partition("=")
    value = parse_number(text.strip())
    if not equals or value < 0:
        raise UsageError(f"{word!r}: expected NAME=VALUE, with a number from 0.")
    return _name(name.strip()), value


def _name(word: str) -> str:
    return word.removeprefix(PREFIX)


def _lines(settings: Fields) -> str:
    return "".join(f"{PREFIX}{name} = {value}\n" for name, value in settings.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
