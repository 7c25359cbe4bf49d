"""Results as pictures: a bar for each peer, the rounds' spread on it; told apart by hatching, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench import measures
from bench.results import TITLES, Results, Spread

_HATCHES = ("", "//", "\\\\", "xx", "..", "--", "++", "oo")
_SUFFIXES = ("png", "svg")


def draw(results: Results, folder: Path) -> list[Path]:
    """One picture for each figure, as PNG and SVG; the files."""
    import matplotlib  # takes a second: only who wants pictures waits for it

    matplotlib.use("Agg")
    files = []
    for name in measures.figures():
        if any(one.figure == name for one in results.samples):
            files += _draw_one(results, name, folder)
    return files


def _draw_one(results: Results, name: str, folder: Path) -> list[Path]:
    from matplotlib import pyplot

    figure = measures.figures()[name]
    picture, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    peers = list(dict.fromkeys(one.peer for one in results.samples if one.figure == name))
    methods = results.methods()
    width = 0.8 / len(peers)
    for place, peer in enumerate(peers):
        at = [number + place * width for number in range(len(methods))]
        spreads = [results.spread(method, peer, name) for method in methods]
        _bars(axes, at, spreads, width, peer, _HATCHES[place % len(_HATCHES)], place)
    axes.set_xticks(
        [number + 0.4 - width / 2 for number in range(len(methods))], [TITLES[m] for m in methods]
    )
    axes.set_ylabel(figure.unit)
    better = "more is better" if figure.more else "less is better"
    axes.set_title(f"{figure.title} ({better})", loc="left")
    axes.legend(ncols=4, fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    files = [folder / f"{name}.{suffix}" for suffix in _SUFFIXES]
    for file in files:
        picture.savefig(file, dpi=120)
    pyplot.close(picture)
    return files


def _bars(
    axes: Any, at: list[float], spreads: list[Spread | None], width: float, peer: str, hatch: str, place: int
) -> None:
    there = [(where, spread) for where, spread in zip(at, spreads, strict=True) if spread]
    heights = [spread.median for _, spread in there]
    below = [spread.median - spread.least for _, spread in there]
    above = [spread.most - spread.median for _, spread in there]
    shade = 0.95 - 0.8 * (place % len(_HATCHES)) / len(_HATCHES)
    axes.bar(
        [where for where, _ in there],
        heights,
        width,
        yerr=[below, above],
        label=peer,
        hatch=hatch,
        color=str(shade),
        edgecolor="black",
        error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "dimgray"},
    )
