"""-R: the lines on standard input, all of them or none; with --line-by-line one after the other.

    all or none     every line is understood before the first is carried out, and all are one request
    line by line    as ipvsadm 1.31: what is refused is told, and the next line is carried out; a line that
                    can't be understood ends it; the exit code is the last line's

A sentence about a line names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain

from director.control import cli
from director.control.cli import REFUSED, ToolError, UnsupportedOption, at_line, numbered_lines
from director.ipvsadm.arguments import PROGRAM, Line
from director.ipvsadm.save_format import Numbered, commands_of, understood

Show = Callable[[Line], Iterable[str]]  # what a line that lists or saves prints


def all_or_none(text: str, show: Show) -> Iterable[str]:
    """What its lines print, once all of them are carried out. Raises ToolError with nothing changed."""
    lines = [understood(number, words) for number, words in numbered_lines(text, PROGRAM)]
    changing = [one for one in lines if one.commands]
    try:
        cli.apply(commands_of(changing))
    except ToolError as refusal:
        if refusal.place is None:
            raise
        raise at_line(changing[refusal.place].number, refusal) from None
    return chain.from_iterable(show(one.line) for one in lines if not one.commands)


def line_by_line(text: str, show: Show) -> str:
    """Prints as it goes, so nothing is left to print. Raises ToolError, also for what it has told already."""
    waiting: list[Numbered] = []
    code = 0
    for number, words in numbered_lines(text, PROGRAM):
        try:
            line = understood(number, words)
        except ToolError as failure:
            _carry_out(waiting)
            if not isinstance(failure, UnsupportedOption):
                raise
            cli.print_error(PROGRAM, failure)
            waiting, code = [], failure.code
            continue
        if line.commands:
            waiting.append(line)
        else:
            _carry_out(waiting)
            waiting, code = [], 0
            cli.print_output(show(line.line))
    if waiting:
        code = _carry_out(waiting)
    if code:
        raise ToolError("", code)
    return ""


def _carry_out(lines: Sequence[Numbered]) -> int:
    """Each that is not refused; the last one's exit code.

    Many that nobody refuses are one request: it does what they would do one after the other.
    """
    if not lines:
        return 0
    try:
        cli.apply(commands_of(lines))
    except ToolError as refusal:
        if refusal.code != REFUSED:
            raise
        if len(lines) == 1:
            cli.print_error(PROGRAM, at_line(lines[0].number, refusal))
            return refusal.code
        middle = len(lines) // 2
        _carry_out(lines[:middle])
        return _carry_out(lines[middle:])
    return 0
