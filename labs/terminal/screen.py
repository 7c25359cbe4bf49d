"""Console, tables and progress: as wide as the terminal, or plain text of a fixed width without one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from labs.terminal.exits import wrapped

if TYPE_CHECKING:
    from labs.checks.result import Check

WIDE = 150  # columns of wide tables without a terminal
# For rich's live displays. Otherwise code that keeps a reference to standard output or error meanwhile, as
# Mininet's log does, would keep a proxy that prints nothing once the display has ended.
KEEP_STREAMS: dict[str, Any] = {"redirect_stdout": False, "redirect_stderr": False}
_WHOLE = 47  # the longest word that is never split: [ADDRESS]:PORT in IPv6
_PIPED = 132
_UNBOUNDED = 1000  # columns, more than any table needs
_TRAILING = re.compile(r"[ \t]+(?=\n)")


def is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def is_interactive() -> bool:
    """Whether a user can answer a question."""
    return sys.stdin is not None and sys.stdin.isatty()


def is_plain() -> bool:
    """Whether to print ASCII only: piped, not in UTF-8, or on a dumb terminal."""
    known = os.environ.get("TERM", "").lower() not in ("dumb", "unknown", "")
    return not (is_terminal() and known and sys.stdout.encoding.lower().startswith("utf"))


class _Console(Console):
    """Never hides the cursor, which a killed process could not show again.

    Without a terminal, lines have no trailing blanks, with which rich fills them up to the width.
    """

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        text = super()._render_buffer(buffer)
        return text if self.is_terminal else _TRAILING.sub("", text)

    def show_cursor(self, show: bool = True) -> bool:
        return super().show_cursor(show) if show else False


def make_console(piped: int = _PIPED, *, quiet: bool = False) -> Console:
    """A console on standard output, or one that prints nothing if `quiet`."""
    return _Console(width=None if is_terminal() else piped, highlight=False, quiet=quiet)


def print_wrapped(console: Console, text: str, style: str = "", indent: str = "") -> None:
    """Print a sentence; on a terminal it wraps between words, and a path or a command stays whole.

    `indent` begins each line but the first.
    """
    if is_terminal():
        text = wrapped(text, console.width, indent)
    console.print(Text(text, style), soft_wrap=True)


def table_box() -> box.Box:
    """The characters that tables are drawn with."""
    return box.ASCII2 if is_plain() else box.ROUNDED


def text_table(
    columns: Sequence[str], rows: Iterable[Sequence[str | Text]], title: str = "", numbers: Sequence[str] = ()
) -> Table:
    """A table whose cells break between words only: no number and no address is split across lines.

    A longer word, such as a path, is folded: a terminal would cut the table off. The columns in `numbers`
    are aligned to the right.
    """
    cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    table = Table(title=title or None, title_justify="left", title_style="bold", box=table_box())
    for column, content in zip(
        columns, zip(*cells, strict=True) if cells else [()] * len(columns), strict=True
    ):
        texts = [column, *(cell.plain for cell in content)]
        longest = max((len(word) for text in texts for word in text.split()), default=0)
        table.add_column(
            column,
            justify="right" if column in numbers else "left",
            min_width=min(longest, _WHOLE),
            max_width=max(map(len, texts)),
            no_wrap=longest == max(map(len, texts)) <= _WHOLE,  # only the other columns can shrink
            overflow="fold",
        )
    for row in cells:
        table.add_row(*row)
    return table


def tables_that_fit(
    console: Console,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[str],
    labels: int = 1,
) -> Iterator[Table]:
    """One table, or several if it is too wide; each repeats the first `labels` columns."""

    def table_of(places: Sequence[int]) -> Table:
        cells = [[row[place] for place in places] for row in rows]
        return text_table([columns[place] for place in places], cells, title, numbers)

    first = list(range(labels))
    part = first
    for place in range(labels, len(columns)):
        if part != first and width_of(console, table_of([*part, place])).minimum > console.width:
            yield _narrowed(console, table_of(part))
            part = first
        part = [*part, place]
    yield _narrowed(console, table_of(part))


def _narrowed(console: Console, table: Table) -> Table:
    """Shrink the table to the console: rich would shrink only its widest columns, and cut off the last."""
    width = width_of(console, table)
    if width.maximum > console.width:
        spare = max(0, console.width - width.minimum)
        for column in reversed(table.columns):  # the first columns' words can be on separate lines
            least, most = column.min_width or 0, column.max_width or 0
            column.width = min(most, least + spare)
            spare -= column.width - least
    return table


def width_of(console: Console, table: Table) -> Measurement:
    """The width that the table needs, whatever the console has."""
    return console.measure(table, options=console.options.update(width=_UNBOUNDED))


def check_table(checks: Iterable[Check], title: str = "") -> Table:
    """A row for each check; the words `ok` and `FAIL` distinguish them without colour."""
    rows = [(_mark(check.ok), check.name, check.expected, check.observed) for check in checks]
    return text_table(("", "check", "expected", "observed"), rows, title)


def _mark(ok: bool) -> Text:
    return Text("ok", "green") if ok else Text("FAIL", "bold red")


def progress(console: Console, *columns: ProgressColumn) -> Progress:
    """A live display that disappears when it ends."""
    return Progress(*columns, console=console, transient=True, **KEEP_STREAMS)


def spinner_column() -> SpinnerColumn:
    return SpinnerColumn(_spins())


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show a spinner meanwhile, on a terminal."""
    if not is_terminal():
        yield
        return
    with progress(make_console(), spinner_column(), TextColumn("{task.description}")) as moving:
        moving.add_task(what, total=None)
        yield


def _spins() -> str:
    return "simpleDots" if is_plain() else "dots"
