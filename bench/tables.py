"""Results as tables: on a terminal, piped, and in Markdown for the documentation.

A cell has the median, and in brackets the ratio to kernel IPVS if measured, else to the direct path: the
median of the ratios within each round. For latency and CPU, less is better.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from bench import contenders, measures
from bench.figures import DIRECT, YARDSTICK, Results
from bench.measured_on import sentence
from labs.methods import TITLES
from labs.terminal.screen import WIDE, make_console, tables_that_fit

CUT_SHORT = "Cut short: the run measured only a part of what was requested."
Titled = tuple[str, Sequence[str], Sequence[Sequence[str]]]  # title, head, rows
_BASES = {  # what ratios refer to: the first of these that was measured
    YARDSTICK: "kernel IPVS",
    DIRECT: "the direct path",
    f"{YARDSTICK}_ipv6": "kernel IPVS over IPv6",
    f"{DIRECT}_ipv6": "the direct path over IPv6",
}
_OURS = ("ebpf", "ebpf_short_cut", "redirect")


# ---- any table ----


def show(tables: Iterable[Titled], notes: Iterable[str]) -> None:
    """Print tables one below the other; a table that is too wide is split."""
    console = make_console(WIDE)
    for title, head, rows in tables:
        for table in tables_that_fit(console, title, head, rows, head[1:]):
            console.print(table)
    for line in notes:
        console.print(Text(line))


def markdown(
    machine: dict[str, object], settings: dict[str, object], tables: Iterable[Titled], notes: Iterable[str]
) -> str:
    """A page: the machine, the tables with their titles, the notes."""
    sections = [f"## {title}\n\n{markdown_table(head, rows)}" for title, head, rows in tables]
    return "\n\n".join([sentence(machine, settings), *sections, "\n".join(notes)]) + "\n"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "---:") -> str:
    """A Markdown table; `align` is the alignment of all columns but the first."""
    lines = [" | ".join(head), " | ".join(["---", *[align] * (len(head) - 1)])]
    lines += [" | ".join(row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


# ---- of a run side by side ----


def of_results(results: Results) -> Iterator[Titled]:
    """The summary, if there is one, and a table for each method."""
    ratios = summary(results)
    if ratios[2]:
        yield ratios
    for method in results.methods():
        yield TITLES[method], *of_method(results, method)


def of_method(results: Results, method: str) -> tuple[list[str], list[list[str]]]:
    """The head of a method's table, and its rows."""
    figures = results.figures(method)
    head = ["", *(f"{figure.title}, {figure.unit}" for figure in figures.values())]
    rows = [
        [contender, *(_cell(results, method, contender, name) for name in figures)]
        for contender in results.contenders(method)
    ]
    return head, rows


def _cell(results: Results, method: str, contender: str, name: str) -> str:
    spread = results.spread(method, contender, name)
    if spread is None:
        return "-"
    to = next((base for base in _BASES if results.spread(method, base, name)), DIRECT)
    ratio = results.ratio(method, contender, name, to)
    in_brackets = f" ({ratio.median:.2f})" if ratio and contender != to else ""
    return f"{number(spread.median)}{in_brackets}"


def summary(results: Results) -> Titled:
    """Ratios to kernel IPVS: of our program, and of the smallest program in its place (the upper bound)."""
    methods = results.methods()
    rows = []
    for name, figure in measures.figures().items():
        for contender in _OURS:
            ratios = [results.ratio(method, contender, name, YARDSTICK) for method in methods]
            if any(ratios):
                cells = [
                    f"{ratio.median:.2f} ({ratio.least:.2f}-{ratio.most:.2f})" if ratio else "-"
                    for ratio in ratios
                ]
                rows.append([figure.title, contender, *cells])
    head = ["median (least to most)", "", *(TITLES[method] for method in methods)]
    return "Ratio to kernel IPVS, in rounds of the same run", head, rows


def notes(results: Results) -> list[str]:
    """Lines that say what the ratios refer to, and what is missing."""
    lines = []
    for method in results.methods():
        base = next((base for base in _BASES if base in results.measured(method)), DIRECT)
        lines.append(f"{TITLES[method]}: ratios in brackets are to {_BASES[base]}, median of the rounds.")
    if not results.complete:
        lines.append(CUT_SHORT)
    for entry in results.missing:
        figure = f" ({entry['figure']})" if entry["figure"] else ""
        lines.append(f"- {TITLES[entry['method']]}, {entry['contender']}{figure}: {entry['why']}")
    return lines


def page(results: Results) -> str:
    """The whole page in Markdown."""
    measured = results.measured()
    rows = [[name, contenders.get(name).about] for name in contenders.names() if name in measured]
    legend = markdown_table(("contender", "what it is"), rows, "---")
    lines = [legend, "", *notes(results)]
    return markdown(results.machine, results.settings, of_results(results), lines)
