"""What checks have found, as a table: in a lab's result, and for `./inv check`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from labs.checks.result import Check
from labs.terminal.screen import table_box


def check_table(checks: Iterable[Check], title: str = "") -> Table:
    """A row for each; `ok` and `FAIL` are told in words, and not by colour alone."""
    table = Table(title=title or None, title_justify="left", title_style="bold", box=table_box())
    for column in ("", "check", "expected", "observed"):
        table.add_column(column, overflow="fold")
    for one in checks:
        mark = Text("ok", "green") if one.ok else Text("FAIL", "bold red")
        table.add_row(mark, *map(Text, (one.name, one.expected, one.observed)))
    return table
