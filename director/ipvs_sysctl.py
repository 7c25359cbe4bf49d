"""ipvs-sysctl: the director's settings, by the names and in the manner of sysctl(8).

The kernel keeps its own under net.ipv4.vs; the director runs beside it and has its own values.
Exit codes: 0 done, 1 no director to talk to, 2 a line that can't be understood, 255 refused.
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
    parse_number,
    run,
)

PROGRAM = "ipvs-sysctl"
PREFIX = "net.ipv4.vs."
USAGE = f"""\
{PROGRAM} -a                      list all settings
{PROGRAM} NAME ...                show some
{PROGRAM} [-w] NAME=VALUE ...     change some, all at once or none
{PROGRAM} -h                      this help

A name may have its prefix {PREFIX} or not.
"""
_KINDS = dict.fromkeys("awh", NO_VALUE)


def main(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit code."""
    return run(PROGRAM, _work, arguments)


def _work(arguments: Sequence[str]) -> str:
    """What one command line prints. Raises ToolError."""
    given, words = getopt(PROGRAM, arguments, _KINDS)
    letters = {letter for letter, _ in given}
    if "h" in letters:
        return USAGE
    if "a" in letters:
        if words or "w" in letters:
            raise UsageError("-a stands alone.")
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
    """Prints what was set, as sysctl does."""
    pairs = dict(_assignment(word) for word in words)
    apply([{"command": "SetSysctl", "name": name, "value": value} for name, value in pairs.items()])
    return _lines(pairs)


def _assignment(word: str) -> tuple[str, int]:
    name, equals, text = word.partition("=")
    value = parse_number(text.strip())
    if not equals or value < 0:
        raise UsageError(f"{word!r}: expected NAME=VALUE, with a number that is not negative.")
    return _name(name.strip()), value


def _name(word: str) -> str:
    return word.removeprefix(PREFIX)


def _lines(settings: Fields) -> str:
    return "".join(f"{PREFIX}{name} = {value}\n" for name, value in settings.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
