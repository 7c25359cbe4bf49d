"""What `./inv doctor` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from doctor.finding import Finding, State
from doctor.machine import PROBES

_STYLES = {State.OK: "green", State.LESS: "yellow", State.NO: "red"}
_PIPED_WIDTH = 150
_NEEDED = ("system", "memory", "labs")


def doctor(probes: Iterable[Callable[[], Finding]] = PROBES, console: Console | None = None) -> int:
    """Show all of it; 0 where the labs can run, else 1."""
    findings = [probe() for probe in probes]
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH, highlight=False)
    console.print(_table(findings, terminal=console.is_terminal))
    lacking = [one for one in findings if one.state is State.NO and one.subject in _NEEDED]
    console.print("The labs can't run here." if lacking else "The labs can run here: ./inv lab-nat")
    return 1 if lacking else 0


def _table(findings: Iterable[Finding], *, terminal: bool) -> Table:
    table = Table(box=box.ROUNDED if terminal else box.ASCII2)
    for name in ("", "subject", "what was found", "what helps"):
        table.add_column(name)
    for one in findings:
        state = Text(one.state.value, _STYLES[one.state])
        table.add_row(state, *map(Text, (one.subject, one.observed, one.helps)))
    return table
