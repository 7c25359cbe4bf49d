r"""Shell commands in a table: what does not fit on a line is continued on the next, with `\` at its end."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_WORD = re.compile(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""")
_MORE, _INDENT = " \\", "    "


class ShellLines:
    """Commands, one per line of `text`, that can be typed or copied as they are shown."""

    def __init__(self, text: str, style: str = "green") -> None:
        self._text, self._style = text, style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = (part for line in self._text.splitlines() for part in folded(line, options.max_width))
        yield Text("\n".join(lines), self._style)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, Text(self._text))


def folded(line: str, width: int) -> list[str]:
    """The command on lines of at most `width` columns, broken only between words; a longer word is kept."""
    if len(line) <= width:
        return [line]
    if line.startswith("#"):
        return textwrap.wrap(line, width, subsequent_indent="# ", break_long_words=False)
    return list(_continued(_WORD.findall(line), width - len(_MORE)))


def _continued(words: list[str], width: int) -> Iterator[str]:
    shown = words[0]
    for word in words[1:]:
        if len(shown) + 1 + len(word) > width:
            yield shown + _MORE
            shown = _INDENT + word
        else:
            shown += f" {word}"
    yield shown
