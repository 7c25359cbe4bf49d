"""The output of a lab: its steps with their durations, and the result.

On a terminal the current step shows a running clock; otherwise each step is a line once it is done. All
figures are in the report as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from labs.checks.result import Check
from labs.run.packet_table import Row
from labs.run.report import Report
from labs.terminal.screen import (
    check_table,
    make_console,
    progress,
    spinner_column,
    text_table,
    width_of,
)

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
_PAIRS = {
    "outer": ("outer_source", "outer_dest"),
    "IP": ("source", "dest"),
    "MAC": ("source_mac", "dest_mac"),
}
_BAR = 20  # characters of the longest bar
_MANY = 12  # servers or lines that are printed; the rest are counted


class ConsoleReporter:
    """Prints to standard output, or nothing if `quiet`; `seconds` has the duration of every step.

    On a terminal, the checks that passed are summed up unless `verbose`.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        self._console = make_console(quiet=quiet)
        self._verbose = verbose or not self._console.is_terminal
        self.seconds: dict[str, float] = {}
        self._progress: Progress | None = None

    @contextmanager
    def step(self, what: str, of: int | None = None) -> Iterator[ConsoleReporter]:
        """Time a step and show it; `of` is the number of its parts, each to be run by `timed`."""
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
        """Run one part of the current step, and record its duration as `what`."""
        began = time.monotonic()
        try:
            return part()
        finally:
            self.seconds[what] = time.monotonic() - began
            if self._progress:
                self._progress.advance(self._progress.task_ids[0])

    def title(self, title: str, facts: Sequence[str]) -> None:
        """Print the name of the lab and facts about it."""
        self._console.print(f"[bold]{title}[/]", soft_wrap=True)
        for fact in facts:
            self._console.print(Text(f"  {fact}"), soft_wrap=True)

    def note(self, text: str) -> None:
        line = Table.grid(padding=(0, 2))
        line.add_row("  [yellow]note[/]", Text(text))
        self._console.print(line)

    def lines(self, title: str, lines: Sequence[str]) -> None:
        """Print commands, or the output of one; only the first of very many."""
        shown = [*lines[:_MANY], *([f"... and {len(lines) - _MANY} more"] if len(lines) > _MANY else [])]
        self._console.print(f"\n[bold]{title}[/]")
        self._console.print(Text("\n".join(f"  {line}" for line in shown)), soft_wrap=True)

    def result(self, report: Report, names_of_macs: dict[str, str]) -> None:
        """Print real servers, checks, the packet table, and a summary."""
        self._servers(report)
        self._checks(report)
        self._packets(report.packets, names_of_macs)
        passed = sum(check.ok for check in report.checks)
        verdict = "[bold green]PASSED[/]" if report.ok else "[bold red]FAILED[/]"
        self._console.print(
            f"\n{verdict}  {passed} of {len(report.checks)} checks, {report.seconds['total']:.1f} s in all",
            soft_wrap=True,
        )
        evidence, hint = f"Evidence: {report.folder}", "(for Wireshark: ./inv wireshark)"
        fits = len(evidence) + len(hint) < self._console.width
        self._console.print(evidence, hint, sep=" " if fits else "\n", soft_wrap=True)

    def _checks(self, report: Report) -> None:
        """Print all checks, or a line for each subject and the checks that failed."""
        self._console.print()
        if self._verbose:
            self._console.print(check_table(report.checks, "Checks"))
            return
        self._console.print("[bold]Checks[/]")
        by_subject: dict[str, list[Check]] = {}
        for subject, check in report.results:
            by_subject.setdefault(subject, []).append(check)
        lines = Table.grid(padding=(0, 2))
        for subject, found in by_subject.items():
            failed = sum(not check.ok for check in found)
            count = f"{len(found)} check{'s' if len(found) > 1 else ''}"
            mark = Text("FAIL", "bold red") if failed else Text("ok", "green")
            lines.add_row("", mark, subject, f"{failed} of {count} failed" if failed else count)
        self._console.print(lines)
        if not report.ok:
            self._console.print()
            self._console.print(check_table([check for check in report.checks if not check.ok], "Failed"))

    def _packets(self, rows: Sequence[Row | None], names: dict[str, str]) -> None:
        found = [row.as_dict() for row in rows if row]
        if not found:
            return
        self._console.print()
        table = self._wide_packets(found, names)
        if not self._fits(table):
            table = self._narrow_packets(found, names)
            table.pad_edge = self._fits(table)  # at 80 columns, MAC addresses with names need that space
        self._console.print(table)

    def _fits(self, table: Table) -> bool:
        return width_of(self._console, table).maximum <= self._console.width

    def _wide_packets(self, found: Sequence[dict[str, str]], names: dict[str, str]) -> Table:
        """One packet per row, as in the papers."""
        used = [column for column in _COLUMNS if any(column in row for row in found)]
        cells = ([row.get(column, "-") for column in used] for row in found)
        rows = [[f"{cell}\n({names[cell]})" if cell in names else cell for cell in row] for row in cells]
        return text_table([_COLUMNS[column] for column in used], rows, _PACKETS)

    def _narrow_packets(self, found: Sequence[dict[str, str]], names: dict[str, str]) -> Table:
        """One pair of addresses per line, for a terminal that is too narrow for whole rows."""
        rows = []
        for row in found:
            title = row["packet"]
            for layer, ends in _PAIRS.items():
                if ends[0] in row:
                    pair = (row[end] + (f" ({names[row[end]]})" if row[end] in names else "") for end in ends)
                    rows.append((title, layer, " > ".join(pair)))
                    title = ""
            rows.append((title, "data", row["data"]))
        return text_table(("packet", "", "source > dest"), rows, _PACKETS)

    def _servers(self, report: Report) -> None:
        most = max((server.connections for server in report.servers), default=0) or 1
        rows = [
            (
                server.name,
                server.address,
                str(server.weight),
                str(server.connections),
                "#" * round(_BAR * server.connections / most),
            )
            for server in report.servers[:_MANY]
        ]
        if len(report.servers) > _MANY:
            rows.append(("...", f"and {len(report.servers) - _MANY} more", "", "", ""))
        self._console.print()
        columns = ("name", "address", "weight", "http connections", "")
        self._console.print(text_table(columns, rows, "Real servers", numbers=columns[2:4]))
