"""Results as pictures, PNG and SVG: bars or lines with the spread of the rounds.

Names, marks and dashes distinguish the contenders without colours. The same figures always give the same
file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from bench import contenders
from bench.figures import Results, Spread
from bench.growth import DIMENSIONS
from bench.growth_results import GrowthResults
from bench.measures import Figure
from labs.methods import TITLES

_OURS = ("ebpf", "ebpf_short_cut", "scapy")  # their bars are darker
_MARKS, _STYLES = "osd^v", ("-", "--", ":", "-.")


@contextmanager
def picture(file: Path, width: float, height: float, dpi: int) -> Iterator[Any]:
    """Axes to draw on, `width` by `height` inches; written to FILE.png and FILE.svg at the end."""
    getLogger("matplotlib").setLevel(ERROR)  # it logs where it caches its fonts
    import matplotlib  # late: it takes a second

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = file.name
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    yield axes
    figure.savefig(file.with_suffix(".png"), dpi=dpi)
    figure.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(figure)


@contextmanager
def _chart(file: Path, figure: Figure) -> Iterator[Any]:
    """The axes of a picture with the figure's title and unit."""
    with picture(file, 8, 4, dpi=120) as axes:
        axes.set_ylabel(figure.unit)
        better = "more is better" if figure.more else "less is better"
        axes.set_title(f"{figure.title} ({better})", loc="left")
        yield axes


# ---- side by side ----


def draw(results: Results, folder: Path) -> None:
    """A picture of each figure: by method, a bar for each contender, in the order of the tables."""
    for name, figure in results.figures().items():
        with _chart(folder / name, figure) as axes:
            _draw_bars(results, name, axes)


def _draw_bars(results: Results, name: str, axes: Any) -> None:
    """The contenders' names stand below their bars, the methods' above their groups."""
    x = 0
    ticks: dict[int, str] = {}
    for method in results.methods():
        spreads = dict(_spreads(results, method, name))
        if not spreads:
            continue
        places = range(x, x + len(spreads))
        axes.bar(
            places,
            [spread.median for spread in spreads.values()],
            yerr=_whiskers(list(spreads.values())),
            color=["0.45" if contender in _OURS else "0.85" for contender in spreads],
            edgecolor="black",
            error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "dimgray"},
        )
        middle = (places[0] + places[-1]) / 2
        axes.text(middle, 1, TITLES[method], transform=axes.get_xaxis_transform(), ha="center", va="top")
        ticks.update(zip(places, spreads, strict=True))
        x = places[-1] + 2
    axes.set_xticks(list(ticks), list(ticks.values()), rotation=35, ha="right", rotation_mode="anchor")
    axes.margins(y=0.12)
    _thousands(axes.yaxis)


def _spreads(results: Results, method: str, name: str) -> Iterator[tuple[str, Spread]]:
    """The spread of a figure, for each contender that has it."""
    for contender in contenders.names():
        spread = results.spread(method, contender, name)
        if spread is not None:
            yield contender, spread


def _thousands(axis: Any) -> None:
    from matplotlib.ticker import StrMethodFormatter

    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _whiskers(spreads: list[Spread]) -> list[list[float]]:
    """The lengths of the error bars below and above the medians."""
    below = [spread.median - spread.least for spread in spreads]
    above = [spread.most - spread.median for spread in spreads]
    return [below, above]


# ---- growth ----


def draw_growth(results: GrowthResults, folder: Path) -> None:
    """A picture of each figure: a line for each contender."""
    for name, figure, about in results.charts():
        with _chart(folder / f"growth-{name}-{figure}", about) as axes:
            for place, contender in enumerate(results.contenders(name, figure)):
                points = results.line(name, contender, figure)
                axes.errorbar(
                    list(points),
                    [spread.median for spread in points.values()],
                    _whiskers(list(points.values())),
                    label=contender,
                    marker=_MARKS[place % len(_MARKS)],
                    linestyle=_STYLES[place % len(_STYLES)],
                    color=str(0.2 * place),
                    capsize=2,
                )
            axes.set_xscale("log")
            axes.set_ylim(bottom=0)
            _thousands(axes.xaxis)
            _thousands(axes.yaxis)
            axes.set_xlabel(DIMENSIONS[name].axis)
            axes.legend(frameon=False)
