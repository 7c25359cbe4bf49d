"""Results as tables: for a terminal, and in Markdown for the documentation.

A cell has the median, and behind it the ratio to kernel IPVS where that was measured, else to the
direct path: the median of the rounds' own ratios. Of latency and CPU, less is better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from bench import measures, peers
from bench.results import DIRECT, TITLES, Results

_PIPED_WIDTH = 132
_YARDSTICK = "ipvs"


def show(results: Results, console: Console | None = None) -> None:
    """Print all of it."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=_PIPED_WIDTH, highlight=False)
    console.print(Group(*_tables(results, console.is_terminal)))
    for line in reasons(results):
        console.print(Text(line))


def _tables(results: Results, terminal: bool) -> Iterator[Table]:
    for method in results.methods():
        head, rows = rows_of(results, method)
        table = Table(title=TITLES[method], title_justify="left", box=box.ROUNDED if terminal else box.ASCII2)
        for place, name in enumerate(head):
            table.add_column(name, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        yield table


def rows_of(results: Results, method: str) -> tuple[list[str], list[list[str]]]:
    """The head of a method's table, and its rows."""
    shown = {
        name: figure
        for name, figure in measures.figures().items()
        if any(one.figure == name and one.method == method for one in results.samples)
    }
    head = ["", *(f"{figure.title}, {figure.unit}" for figure in shown.values())]
    rows = [[peer, *(_cell(results, method, peer, name) for name in shown)] for peer in results.peers(method)]
    return head, rows


def _cell(results: Results, method: str, peer: str, name: str) -> str:
    spread = results.spread(method, peer, name)
    if spread is None:
        return "-"
    to = _YARDSTICK if results.spread(method, _YARDSTICK, name) else DIRECT
    ratio = results.ratio(method, peer, name, to)
    behind = f" ({ratio.median:.2f})" if ratio and peer != to else ""
    return f"{_number(spread.median)}{behind}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def reasons(results: Results) -> list[str]:
    """What the columns say, and what is missing."""
    lines = []
    for method in results.methods():
        ratio_to = "kernel IPVS" if _YARDSTICK in _measured(results, method) else "the direct path"
        lines.append(f"{TITLES[method]}: ratios in brackets are to {ratio_to}, median of the rounds.")
    for one in results.missing:
        figure = f" ({one['figure']})" if one["figure"] else ""
        lines.append(f"- {TITLES[one['method']]}, {one['peer']}{figure}: {one['why']}")
    return lines


def _measured(results: Results, method: str) -> set[str]:
    return {one.peer for one in results.samples if one.method == method}


def markdown(results: Results) -> str:
    """The tables with what they were measured on."""
    parts = [_about(results)]
    for method in results.methods():
        head, rows = rows_of(results, method)
        parts.append(f"## {TITLES[method]}\n\n{_markdown_table(head, rows)}")
    known = {one.peer for one in results.samples}
    what = [f"| {name} | {peers.load(name).ABOUT} |" for name in peers.names() if name in known]
    parts.append("\n".join(["| peer | what it is |", "|---|---|", *what]))
    parts.append("\n".join(reasons(results)))
    return "\n\n".join(parts) + "\n"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _about(results: Results) -> str:
    machine, settings = results.machine, results.settings
    emulated = ", emulated" if machine["emulated"] else ""
    return (
        f"Linux {machine['kernel']} on {machine['processors']} x {machine['processor']}{emulated}, "
        f"{machine['memory_gib']} GiB; {machine['system']}. {settings['rounds']} rounds in turns, "
        f"{settings['seconds']} s for each measurement."
    )
