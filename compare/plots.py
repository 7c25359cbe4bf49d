"""A comparison as pictures, PNG and SVG: told apart by marks and dashes, so that no colour is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.plots import picture
from compare import models
from compare.models import PUBLISHED, SERVERS, capacities
from compare.results import Results
from labs.methods import TITLES

Fill = Callable[[Results, Any], None]
MARKS = {"nat": "o", "tun": "s", "dr": "^"}
DASHES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
_FAR = 10_000  # servers


def draw(results: Results, folder: Path) -> list[Path]:
    """The SVG files, beside which lies a PNG each; none where nothing was measured."""
    pictures: dict[str, Fill] = {}
    if results.points:
        pictures["scaling"] = _scaling
    if any(models.calibrated(results, method) for method in results.methods):
        pictures["simulation"] = _simulation
    for name, fill in pictures.items():
        with picture(folder / name, 9, 5.5, dpi=110) as axes:
            fill(results, axes)
    return [folder / f"{name}.svg" for name in pictures]


def _scaling(results: Results, axes: Any) -> None:
    """What was measured, and what the arithmetic says of a director that rewrites."""
    most = max(point.servers for point in results.points)
    xs = _spread(most)
    axes.plot(xs, xs, color="0.8", linewidth=1, label="as much as all servers' links carry")
    for dashes, (label, knee) in zip(DASHES, _arithmetic(results), strict=False):
        axes.plot(xs, [min(x, knee) for x in xs], color="0.45", linewidth=1.2, linestyle=dashes, label=label)
    for method in results.methods:
        points = results.sound(method)
        worth = [results.in_servers(point.delivered) for point in points]
        style = {"marker": MARKS[method], "color": "black", "markerfacecolor": "white", "markersize": 8}
        axes.plot([point.servers for point in points], worth, linewidth=1, label=TITLES[method], **style)
        _mark_knee(results, method, axes)
        beyond = results.too_much(method)
        axes.plot(
            [point.servers for point in beyond],
            [results.in_servers(point.delivered) for point in beyond],
            linestyle="none",
            marker=MARKS[method],
            color="0.6",
            label=f"{TITLES[method]}, the processor was the limit" if beyond else None,
        )
    axes.set(xscale="log", yscale="log", ylim=(0.7, most * 1.4), xlabel="real servers")
    axes.set_ylabel("delivered, in what one server's link carries")
    axes.set_title("Delivered replies by number of real servers", loc="left")
    _ticks(axes, [point.servers for point in results.points])
    axes.grid(color="0.93")
    axes.legend(frameon=False, fontsize="small", loc="upper left")


def _arithmetic(results: Results) -> list[tuple[str, float]]:
    """Lines beside the measured ones: a label, and after how many servers it is flat."""
    published = [
        (f"published: 60 us a packet, servers of {rate / 1e3:.0f} kB/s", PUBLISHED.servers(rate))
        for rate in SERVERS
    ]
    own = results.server_rate
    ours = [
        (
            f"the same, engine {one.name}: {one.cost * 1e6:.3g} us, servers of {own / 1e3:.0f} kB/s",
            one.servers(own),
        )
        for one in capacities(results)
        if one is not PUBLISHED
    ]
    return published + ours


def _mark_knee(results: Results, method: str, axes: Any) -> None:
    knee = results.knee(method)
    if knee is None or knee.servers is None:
        return
    at = results.in_servers(knee.plateau or 0)
    axes.annotate(
        f"knee of {TITLES[method]}:\n{knee.servers:.1f} servers",
        (knee.servers, at),
        (knee.servers * 1.1, at * 0.4),
        arrowprops={"arrowstyle": "->"},
        fontsize="small",
    )


def _simulation(results: Results, axes: Any) -> None:
    """The model's curves, and on them the points that were measured."""
    xs = _spread(_FAR)
    for method in results.methods:
        model = models.calibrated(results, method)
        if model is None:
            continue
        for number, (label, values) in enumerate(_curves(model, xs)):
            shown = [results.in_servers(value) for value in values]
            style = {"marker": MARKS[method], "markevery": (4 * number, 12), "markerfacecolor": "white"}
            axes.plot(
                xs, shown, color="0.3", linewidth=1, linestyle=("-", *DASHES)[number], label=label, **style
            )
        points = results.sound(method)
        axes.plot(
            [point.servers for point in points],
            [results.in_servers(point.delivered) for point in points],
            linestyle="none",
            marker=MARKS[method],
            color="black",
            markersize=8,
            label=f"{TITLES[method]}, measured",
        )
    axes.set(xscale="log", yscale="log", xlabel="real servers")
    axes.set_ylabel("delivered, in what one server's link carries")
    axes.set_title("The model beyond what was measured", loc="left")
    _ticks(axes, (1, 10, 100, 1000, 10_000))
    axes.grid(color="0.93")
    axes.legend(frameon=False, fontsize="small", loc="upper left")


def _curves(model: models.Model, xs: Sequence[int]) -> list[tuple[str, list[float]]]:
    """One director, and as many as are needed behind DNS round robin or consistent hashing."""
    title = TITLES[model.method]
    single = (f"{title}, one director", [model.delivered(x) for x in xs])
    if model.method == "tun":
        return [single]  # as VS-DR, but for 20 bytes: a third pair of lines would tell nothing
    dns = [model.shared(x, models.by_dns(model.directors_for(x))) for x in xs]
    hashed = [model.shared(x, models.by_hashing(model.directors_for(x))) for x in xs]
    return [
        single,
        (f"{title}, clusters behind DNS round robin", dns),
        (f"{title}, clusters behind consistent hashing", hashed),
    ]


def _spread(most: int) -> list[int]:
    """Numbers of servers from 1 on, evenly apart on a logarithmic axis."""
    return sorted({round(most ** (step / 60)) for step in range(61)})


def _ticks(axes: Any, at: Sequence[int]) -> None:
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    axes.set_xticks(sorted(set(at)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
