"""What `./inv doctor` prints of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from doctor.finding import Finding, State
from doctor.machine import PROBES
from labs.terminal.exits import REFUSED
from labs.terminal.screen import WIDE, make_console, table_box

_STYLES = {State.OK: "green", State.LESS: "yellow", State.NO: "red"}
_NEEDED = ("system", "memory", "labs")


def show(probes: Iterable[Callable[[], Finding]] = PROBES, console: Console | None = None) -> int:
    """Show all of it; 0 where the labs can run, else 2."""
    findings = [probe() for probe in probes]
    console = console or make_console(WIDE)
    console.print(_table(findings, table_box()))
    lacking = [one for one in findings if one.state is State.NO and one.subject in _NEEDED]
    helps = "".join(f" {one.helps}" for one in lacking if one.helps)
    console.print(
        f"The labs can't run here.{helps}" if lacking else "The labs can run here: ./inv lab-nat",
        soft_wrap=True,
    )
    return REFUSED if lacking else 0


def _table(findings: Iterable[Finding], style: box.Box) -> Table:
    table = Table(box=style)
    for name in ("", "subject", "what was found", "what helps"):
        table.add_column(name)
    for one in findings:
        state = Text(one.state.value, _STYLES[one.state])
        table.add_row(state, *map(Text, (one.subject, one.observed, one.helps)))
    return table
