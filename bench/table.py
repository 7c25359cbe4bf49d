"""Results as tables: for a terminal, and in Markdown for the documentation.

A cell has the median, and behind it the ratio to kernel IPVS where that was measured, else to the
direct path: the median of the rounds' own ratios. Of latency and CPU, less is better.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench import contenders, layout, measures
from bench.results import DIRECT, Results
from labs.methods import TITLES

_YARDSTICK = "ipvs"
_OURS = ("ebpf", "ebpf_short_cut", "redirect")


def show(results: Results) -> None:
    """Print all of it."""
    layout.show(_tables(results), reasons(results))


def _tables(results: Results) -> Iterator[layout.Titled]:
    ratios = summary(results)
    if ratios[2]:
        yield ratios
    for method in results.methods():
        yield TITLES[method], *rows_of(results, method)


def rows_of(results: Results, method: str) -> tuple[list[str], list[list[str]]]:
    """The head of a method's table, and its rows."""
    shown = {
        name: figure
        for name, figure in measures.figures().items()
        if any(one.figure == name and one.method == method for one in results.samples)
    }
    head = ["", *(f"{figure.title}, {figure.unit}" for figure in shown.values())]
    rows = [
        [contender, *(_cell(results, method, contender, name) for name in shown)]
        for contender in results.contenders(method)
    ]
    return head, rows


def _cell(results: Results, method: str, contender: str, name: str) -> str:
    spread = results.spread(method, contender, name)
    if spread is None:
        return "-"
    to = _YARDSTICK if results.spread(method, _YARDSTICK, name) else DIRECT
    ratio = results.ratio(method, contender, name, to)
    behind = f" ({ratio.median:.2f})" if ratio and contender != to else ""
    return f"{layout.number(spread.median)}{behind}"


def summary(results: Results) -> layout.Titled:
    """Ratios to kernel IPVS: what our program reaches, and what any could reach at its place."""
    methods = results.methods()
    rows = []
    for name, figure in measures.figures().items():
        for contender in _OURS:
            ratios = [results.ratio(method, contender, name, _YARDSTICK) for method in methods]
            if any(ratios):
                cells = [
                    f"{one.median:.2f} ({one.least:.2f}-{one.most:.2f})" if one else "-" for one in ratios
                ]
                rows.append([figure.title, contender, *cells])
    head = ["median (least to most)", "", *(TITLES[method] for method in methods)]
    return "Ratio to kernel IPVS, in rounds of the same run", head, rows


def reasons(results: Results) -> list[str]:
    """What the columns say, and what is missing."""
    lines = []
    for method in results.methods():
        ratio_to = "kernel IPVS" if _YARDSTICK in _measured(results, method) else "the direct path"
        lines.append(f"{TITLES[method]}: ratios in brackets are to {ratio_to}, median of the rounds.")
    if not results.complete:
        lines.append(layout.CUT_SHORT)
    for one in results.missing:
        figure = f" ({one['figure']})" if one["figure"] else ""
        lines.append(f"- {TITLES[one['method']]}, {one['contender']}{figure}: {one['why']}")
    return lines


def _measured(results: Results, method: str) -> set[str]:
    return {one.contender for one in results.samples if one.method == method}


def markdown(results: Results) -> str:
    """The tables with what they were measured on."""
    known = {one.contender for one in results.samples}
    contenders_here = [[name, contenders.load(name).ABOUT] for name in contenders.names() if name in known]
    parts = [layout.about(results.machine, results.settings), *layout.markdown(_tables(results))]
    parts += [
        layout.markdown_table(("contender", "what it is"), contenders_here, "---"),
        "\n".join(reasons(results)),
    ]
    return "\n\n".join(parts) + "\n"
