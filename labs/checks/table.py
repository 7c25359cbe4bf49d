"""The results of checks as a table: for a lab, and for `./inv check`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from labs.checks.result import Check
from labs.terminal.screen import text_table


def check_table(checks: Iterable[Check], title: str = "") -> Table:
    """A row for each check; `ok` and `FAIL` are words, so colour alone never tells them apart."""
    rows = [(_mark(check.ok), check.name, check.expected, check.observed) for check in checks]
    return text_table(("", "check", "expected", "observed"), rows, title)


def _mark(ok: bool) -> Text:
    return Text("ok", "green") if ok else Text("FAIL", "bold red")
