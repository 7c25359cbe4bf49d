"""Results as pictures: bars or lines with the rounds' spread, told apart without colour, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import contenders, growth, measures
from bench.growth_results import GrowthResults
from bench.measures import Figure
from bench.picture import picture
from bench.results import Results, Spread
from labs.methods import TITLES

_HATCHES = ("", "//", "\\\\", "xx", "..", "--", "++", "oo", "||", "**")
_MARKS, _STYLES = "osd^v", ("-", "--", ":", "-.")


def draw(results: Results, folder: Path) -> None:
    """One picture for each figure, as PNG and SVG."""
    for name in measures.figures():
        if any(one.figure == name for one in results.samples):
            _draw_one(results, name, folder)


def draw_growth(results: GrowthResults, folder: Path) -> None:
    """One picture for each figure: a line for each contender."""
    for name, figure, about in results.charts():
        with _picture(folder / f"growth-{name}-{figure}", about) as axes:
            for place, contender in enumerate(results.contenders(name, figure)):
                _line(axes, results.line(name, contender, figure), contender, place)
            axes.set_xscale("log")
            axes.set_ylim(bottom=0)
            axes.set_xlabel(growth.load(name).AXIS)
            axes.legend(frameon=False)


def _line(axes: Any, points: dict[int, Spread], contender: str, place: int) -> None:
    spreads = list(points.values())
    below = [spread.median - spread.least for spread in spreads]
    above = [spread.most - spread.median for spread in spreads]
    axes.errorbar(
        list(points),
        [spread.median for spread in spreads],
        [below, above],
        label=contender,
        marker=_MARKS[place % len(_MARKS)],
        linestyle=_STYLES[place % len(_STYLES)],
        color=str(0.2 * place),
        capsize=2,
    )


@contextmanager
def _picture(file: Path, figure: Figure) -> Iterator[Any]:
    """The axes of one that says what its figure is."""
    with picture(file, 8, 4, dpi=120) as axes:
        axes.set_ylabel(figure.unit)
        better = "more is better" if figure.more else "less is better"
        axes.set_title(f"{figure.title} ({better})", loc="left")
        yield axes


def _draw_one(results: Results, name: str, folder: Path) -> None:
    """A method's bars stand side by side, in the order of the contenders."""
    methods = results.methods()
    measured = {method: dict(_spreads(results, method, name)) for method in methods}
    shown = [
        contender for contender in contenders.names() if any(contender in here for here in measured.values())
    ]
    width = 0.9 / max(map(len, measured.values()))
    with _picture(folder / name, measures.figures()[name]) as axes:
        for place, contender in enumerate(shown):
            there = [
                (number + (list(here).index(contender) - (len(here) - 1) / 2) * width, here[contender])
                for number, here in enumerate(measured.values())
                if contender in here
            ]
            _bars(axes, there, width, contender, place)
        axes.set_xticks(range(len(methods)), [TITLES[method] for method in methods])
        axes.legend(ncols=4, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)


def _spreads(results: Results, method: str, name: str) -> Iterator[tuple[str, Spread]]:
    """Of the contenders that have the figure."""
    for contender in contenders.names():
        spread = results.spread(method, contender, name)
        if spread is not None:
            yield contender, spread


def _bars(axes: Any, there: list[tuple[float, Spread]], width: float, contender: str, place: int) -> None:
    heights = [spread.median for _, spread in there]
    below = [spread.median - spread.least for _, spread in there]
    above = [spread.most - spread.median for _, spread in there]
    shade = 0.95 - 0.8 * (place % len(_HATCHES)) / len(_HATCHES)
    axes.bar(
        [where for where, _ in there],
        heights,
        width,
        yerr=[below, above],
        label=contender,
        hatch=_HATCHES[place % len(_HATCHES)],
        color=str(shade),
        edgecolor="black",
        error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "dimgray"},
    )
