"""What a person sees while a lab runs: the steps, how long each took, and the result.

On a terminal the current step shows a running clock; piped, each step is a plain line when
it is done. All figures also go into the report, which no check reads from the screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from labs.checks.table import check_table
from labs.run.packet_table import Row
from labs.run.report import Report
from labs.terminal.screen import make_console, progress, spinner_column, table_box

T = TypeVar("T")

_COLUMNS = {
    "packet": "packet",
    "source": "source",
    "dest": "dest",
    "outer_source": "outer source",
    "outer_dest": "outer dest",
    "source_mac": "source MAC",
    "dest_mac": "dest MAC",
    "data": "data",
}
_PACKETS = "One connection, as captured"
_UNBOUNDED = 1000  # columns: more than any row needs
_PAIRS = {
    "outer": ("outer_source", "outer_dest"),
    "IP": ("source", "dest"),
    "MAC": ("source_mac", "dest_mac"),
}
_MANY = 12  # servers or lines: more than these are summed up


class ConsoleReporter:
    """Prints to standard output, or `quiet`, nothing; `seconds` has the duration of every step."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = make_console(quiet=quiet)
        self._box = table_box()
        self.seconds: dict[str, float] = {}
        self._progress: Progress | None = None

    @contextmanager
    def step(self, what: str, of: int | None = None) -> Iterator[ConsoleReporter]:
        """Time a step and show it; with `of`, it has so many parts, each to be run by `timed`."""
        began = time.monotonic()
        if self._console.is_terminal and not self._console.quiet:
            columns = (spinner_column(), TextColumn("{task.description}"))
            bar = (BarColumn(bar_width=24), MofNCompleteColumn()) if of else ()
            self._progress = progress(self._console, *columns, *bar, TimeElapsedColumn())
            self._progress.add_task(what, total=of)
            self._progress.start()
        try:
            yield self
        finally:
            if self._progress:
                self._progress.stop()
                self._progress = None
            self.seconds[what] = time.monotonic() - began
        self._console.print(f"  [green]done[/]  {what:<42} [dim]{self.seconds[what]:6.2f} s[/]")

    def timed(self, what: str, part: Callable[[], T]) -> T:
        """Run one part of the current step, and keep its time as `what`."""
        began = time.monotonic()
        try:
            return part()
        finally:
            self.seconds[what] = time.monotonic() - began
            if self._progress:
                self._progress.advance(self._progress.task_ids[0])

    def title(self, title: str, facts: Sequence[str]) -> None:
        """The name of the lab and what it is made of."""
        if self._console.is_terminal:
            self._console.print(
                Panel("\n".join(facts), title=f"[bold]{title}[/]", title_align="left", expand=False)
            )
        else:
            self._console.print(title, *(f"  {fact}" for fact in facts), sep="\n")

    def note(self, text: str) -> None:
        line = Table.grid(padding=(0, 2))
        line.add_row("  [yellow]note[/]", Text(text))
        self._console.print(line)

    def lines(self, title: str, lines: Sequence[str]) -> None:
        """Commands that the lab gives, or what one has printed; of very many only the first."""
        shown = [*lines[:_MANY], *([f"... and {len(lines) - _MANY} more"] if len(lines) > _MANY else [])]
        self._console.print(f"\n[bold]{title}[/]")
        self._console.print(Text("\n".join(f"  {line}" for line in shown)), soft_wrap=True)

    def result(self, report: Report, names_of_macs: dict[str, str]) -> None:
        """Packet table, real servers, checks, and one line that sums it up."""
        self._packets(report.packets, names_of_macs)
        self._servers(report)
        self._console.print()
        self._console.print(check_table(report.checks, "Checks"))
        passed = sum(check.ok for check in report.checks)
        verdict = "[bold green]PASSED[/]" if report.ok else "[bold red]FAILED[/]"
        self._console.print(
            f"\n{verdict}  {passed} of {len(report.checks)} checks, {report.seconds['total']:.1f} s in all",
            soft_wrap=True,
        )
        self._console.print(f"Evidence: {report.folder} (pcap/ opens in Wireshark)", soft_wrap=True)

    def _packets(self, rows: Sequence[Row | None], names: dict[str, str]) -> None:
        found = [row.as_dict() for row in rows if row]
        if not found:
            return
        self._console.print()
        wide = self._wide_packets(found, names)
        unbounded = self._console.options.update(width=_UNBOUNDED)
        fits = self._console.measure(wide, options=unbounded).maximum <= self._console.width
        self._console.print(wide if fits else self._narrow_packets(found, names))

    def _wide_packets(self, found: Sequence[dict[str, str]], names: dict[str, str]) -> Table:
        """A packet in a row, as the papers have it."""
        used = [column for column in _COLUMNS if any(column in row for row in found)]
        table = self._table(_PACKETS, [_COLUMNS[column] for column in used])
        for row in found:
            cells = (row.get(column, "-") for column in used)
            table.add_row(*(f"{cell}\n({names[cell]})" if cell in names else cell for cell in cells))
        return table

    def _narrow_packets(self, found: Sequence[dict[str, str]], names: dict[str, str]) -> Table:
        """The same where a row is too long for the terminal: a line for each pair of addresses."""
        table = self._table(_PACKETS, ["packet", "", "source > dest"])
        for row in found:
            title = row["packet"]
            for layer, ends in _PAIRS.items():
                if ends[0] in row:
                    shown = (
                        row[end] + (f" ({names[row[end]]})" if row[end] in names else "") for end in ends
                    )
                    table.add_row(title, layer, " > ".join(shown))
                    title = ""
            table.add_row(title, "data", row["data"], end_section=True)
        return table

    def _servers(self, report: Report) -> None:
        self._console.print()
        table = self._table("Real servers", ["name", "address", "weight", "http connections", ""])
        most = max((server.connections for server in report.servers), default=0) or 1
        for server in report.servers[:_MANY]:
            bar = "#" * round(24 * server.connections / most)
            table.add_row(server.name, server.address, str(server.weight), str(server.connections), bar)
        if len(report.servers) > _MANY:
            table.add_row("...", f"and {len(report.servers) - _MANY} more", "", "", "")
        self._console.print(table)

    def _table(self, title: str, columns: Sequence[str]) -> Table:
        table = Table(title=title, title_justify="left", title_style="bold", box=self._box)
        for column in columns:
            numbers = column in ("weight", "http connections")
            table.add_column(column, justify="right" if numbers else "left", overflow="fold")
        return table
