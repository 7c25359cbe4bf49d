"""The report of a comparison: tables on the terminal, and a self-contained HTML page.

Both have the published table with the observations, the points, and what is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from rich import box
from rich.table import Table
from rich.text import Text

from compare import models
from compare.comparison_table import Cell, cells
from compare.models import SERVERS, capacities
from compare.results import Results
from labs.methods import TITLES
from labs.terminal.screen import WIDE, make_console, table_box
from realserver_setup.render import TEMPLATES

_IPV4 = 4


def show(results: Results) -> None:
    """Print the report."""
    console = make_console(WIDE)
    for table in _tables(results, table_box()):
        console.print()
        console.print(table)
    for line in shortcomings(results):
        console.print(Text(line), style="bold")


def shortcomings(results: Results) -> list[str]:
    """Lines that say what is missing, and what failed during a measurement."""
    missing = [f"Not measured: {step.what} ({step.why})" for step in results.missing]
    broken = [
        f"{TITLES[point.method]}, {point.servers} servers: {'; '.join(point.troubles)}: left out of the knee"
        for point in results.troubled
    ]
    return missing + broken


def _tables(results: Results, style: box.Box) -> Iterator[Table]:
    if results.points:
        yield _points(results, style)
        yield _arithmetic(results, style)
    if results.points or results.findings:
        yield _cells(results, style)
    if results.dispatch:
        yield _dispatch(results, style)


def _dispatch(results: Results, style: box.Box) -> Table:
    table = Table(
        title="Approaches to dispatching: 4 servers, one of which dies", title_justify="left", box=style
    )
    table.add_column("approach")
    for name in ("requests, %", "bytes, %", "busiest", "median, ms", "95 %, ms", "failing, dead", "later"):
        table.add_column(name, justify="right")
    table.add_column("the servers see", overflow="fold")
    for outcome in results.dispatch:
        numbers = f"{outcome.busiest:.0%}", f"{outcome.median * 1e3:.1f}", f"{outcome.p95 * 1e3:.1f}"
        failing = f"{outcome.failed_dead:.0%}", f"{outcome.failed_out:.0%}"
        sees = "the client" if outcome.sees_client else ", ".join(outcome.visitors)
        table.add_row(
            outcome.title, shares(outcome.requests), shares(outcome.bytes), *numbers, *failing, sees
        )
    return table


def shares(counts: Mapping[str, int]) -> str:
    """The shares of the servers in per cent: `25 25 26 24`."""
    whole = sum(counts.values())
    return " ".join(f"{100 * count / whole:.0f}" for count in counts.values()) if whole else "-"


def _cells(results: Results, style: box.Box) -> Table:
    table = Table(title="The comparison table, observed", title_justify="left", box=style, show_lines=True)
    table.add_column("property")
    for method in results.asked:
        table.add_column(TITLES[method], ratio=1)
    for name, row in cells(results).items():
        table.add_row(name, *(_cell(row[method]) for method in results.asked))
    return table


def _arithmetic(results: Results, style: box.Box) -> Table:
    title = "The published arithmetic: packets of 536 bytes"
    table = Table(title=title, title_justify="left", box=style)
    table.add_column("director")
    for name in ("us per packet", "MB/s", *(f"servers of {rate / 1e3:.0f} kB/s" for rate in SERVERS)):
        table.add_column(name, justify="right")
    for capacity in capacities(results):
        carries = (f"{capacity.servers(rate):.1f}" for rate in SERVERS)
        director = f"{capacity.name}, {capacity.source.removeprefix('docs/bench/').partition(':')[0]}"
        table.add_row(director, f"{capacity.cost * 1e6:.3g}", f"{capacity.rate / 1e6:.2f}", *carries)
    return table


def _cell(cell: Cell) -> Text:
    return Text.assemble((cell.says, "bold"), *((f"\n{line}", "dim") for line in cell.evidence))


def _points(results: Results, style: box.Box) -> Table:
    version = f" (IPv{results.family})" if results.family != _IPV4 else ""
    table = Table(title=f"Delivered, in units of one server's link{version}", title_justify="left", box=style)
    for name in ("servers", *(TITLES[method] for method in results.methods)):
        table.add_column(name, justify="right")
    for count in sorted({point.servers for point in results.points}):
        row = [
            next((point for point in results.of_method(method) if point.servers == count), None)
            for method in results.methods
        ]
        table.add_row(
            str(count),
            *(
                f"{results.in_servers(point.delivered):.2f}  {point.limited_by:<20}" if point else "-"
                for point in row
            ),
        )
    return table


# ---- the page ----


def write_page(results: Results, folder: Path, pictures: Sequence[Path]) -> Path:
    """Write compare.html with the pictures inline and without scripts; `pictures` are SVG files."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=True, trim_blocks=True
    )
    there = bool(results.points or results.findings)
    text = environment.get_template("compare/page.html.j2").render(
        results=results,
        titles={method: TITLES[method] for method in results.asked} if there else {},
        cells=cells(results) if there else {},
        capacities=capacities(results) if results.points else [],
        rates=SERVERS,
        deviations={method: models.deviations(results, method) for method in results.methods},
        dispatch=results.dispatch,
        shares=shares,
        shortcomings=shortcomings(results),
        pictures=[_inline(picture) for picture in pictures],
    )
    page = folder / "compare.html"
    page.write_text(text)
    return page


def _inline(picture: Path) -> Markup:
    """The svg element of a file, without its XML declaration and doctype."""
    text = picture.read_text()
    return Markup(text[text.index("<svg") :])
