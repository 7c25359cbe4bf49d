"""The table that `./inv doctor` prints of a running lab: a block for each root cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from doctor.causes import Cause
from doctor.state import LabState
from labs.terminal.screen import make_console, table_box

_WIDE = 100  # columns, without a terminal
_NOTHING = "Nothing wrong was found."


def show(
    state: LabState, causes: Sequence[Cause], titles: Mapping[str, str], console: Console | None = None
) -> int:
    """Exit code 0 where nothing is wrong, else 1; hosts that could not be read count as wrong."""
    console = console or make_console(_WIDE)
    unread = list(_unread(state))
    for line in unread:
        console.print(line, markup=False)
    if causes:
        console.print(_table(causes, titles))
    elif not unread:
        console.print(f"{_NOTHING} {_checked(state)}", markup=False)
    return 1 if causes or unread else 0


def _unread(state: LabState) -> Iterator[str]:
    if state.director.error:
        name = state.director_host.name
        yield (
            f"The director on {name} does not answer; start it again there: setsid sh start.sh & "
            f"and then sh rules.sh ({state.director.error})"
        )
    for host in state.hosts:
        if host.error:
            yield f"{host.name} could not be read: {host.error}"


def _checked(state: LabState) -> str:
    names = " ".join(host.name for host in state.hosts)
    return f"Checked in {state.lab}: {names}; the director's rules, connections and timeouts."


def _table(causes: Sequence[Cause], titles: Mapping[str, str]) -> Table:
    table = Table(box=table_box(), show_lines=True)
    table.add_column("host")
    table.add_column("root cause", ratio=1)
    for cause in causes:
        table.add_row(Text(cause.host, "bold"), _block(cause, titles[cause.cause]))
    return table


def _block(cause: Cause, title: str) -> Table:
    """Without frame lines, so that the commands can be copied."""
    block = Table.grid(padding=(0, 1))
    block.add_column(no_wrap=True)
    block.add_column(overflow="fold")
    block.add_row("cause", Text(f"{title} ({cause.cause})", "bold red"))
    block.add_row("evidence", Text(cause.evidence))
    block.add_row("why", Text(cause.why))
    block.add_row("repair", Text(cause.repair, "green"))
    return block
