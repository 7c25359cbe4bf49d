"""Tables of text: on a terminal, piped, and in Markdown; and what is said about a machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from labs.terminal.screen import WIDE, make_console, table_box

CUT_SHORT = "Cut short: some of what was asked for was not measured."
Titled = tuple[str, Sequence[str], Sequence[Sequence[str]]]  # title, head, rows


def show(tables: Iterable[Titled], notes: Iterable[str]) -> None:
    """Print them, one below the other."""
    console = make_console(WIDE)
    for title, head, rows in tables:
        table = Table(title=title, title_justify="left", box=table_box())
        for place, name in enumerate(head):
            table.add_column(name, justify="right" if place else "left", no_wrap=not place)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in notes:
        console.print(Text(line))


def markdown(tables: Iterable[Titled]) -> list[str]:
    """Each with its title."""
    return [f"## {title}\n\n{markdown_table(head, rows)}" for title, head, rows in tables]


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "---:") -> str:
    """`align` of all columns but the first."""
    lines = [" | ".join(head), " | ".join(["---", *[align] * (len(head) - 1)])]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def about(machine: dict[str, object], settings: dict[str, object]) -> str:
    """What the figures were measured on, in a paragraph."""
    emulated = ", emulated" if machine["emulated"] else ""
    return (
        f"Linux {machine['kernel']} on {machine['processors']} x {machine['processor']}{emulated}, "
        f"{machine['memory_gib']} GiB; {machine['system']}. {settings['rounds']} rounds in turns, "
        f"{settings['seconds']:g} s for each measurement."
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
