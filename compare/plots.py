"""A comparison as pictures, PNG and SVG. Labels at the ends of lines replace a legend.

Marks and dashes distinguish the methods without colours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.plots import picture
from compare import models
from compare.models import PUBLISHED, SERVERS
from compare.results import Results
from labs.methods import TITLES

Fill = Callable[[Results, Any], None]
MARKS = {"nat": "o", "tun": "s", "dr": "^"}
# Okabe and Ito's palette, for colour-blind readers too
COLOURS = {"nat": "#d55e00", "tun": "#0072b2", "dr": "#009e73"}
_SIZES = {"nat": 8, "tun": 11, "dr": 6}  # the marks of VS-DR lie within those of VS-TUN
_FAR = 10_000  # servers
_APART = 0.045  # labels, as a share of the axis


@dataclass(frozen=True, slots=True)
class _Label:
    """The text at the end of a line, which ends at `y`."""

    text: str
    y: float
    colour: str = "0.35"


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw each picture that the results allow as PNG and SVG; returns the SVG files."""
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
    """The measured points, and the number of servers at which a rewriting director is full (calculated)."""
    most = max(point.servers for point in results.points)
    xs = _spread(most)
    axes.plot(xs, xs, color="0.85", linewidth=1, zorder=1)
    ends: list[_Label] = []
    for label, limit in _limits(results):
        if limit < most:
            axes.plot(xs, [min(x, limit) for x in xs], color="0.6", linewidth=1, linestyle="--", zorder=1)
            ends.append(_Label(label, limit))
    for method in results.methods:
        measured = results.sound(method)
        worth = [results.in_servers(point.delivered) for point in measured]
        axes.plot([point.servers for point in measured], worth, linewidth=1.5, **_style(method))
        beyond = results.too_much(method)
        axes.plot(
            [point.servers for point in beyond],
            [results.in_servers(point.delivered) for point in beyond],
            linestyle="none",
            **{**_style(method), "markeredgecolor": "0.6"},
        )
        last = results.of_method(method)[-1]
        title = TITLES[method] + (" (grey: limited by the processor)" if beyond else "")
        ends.append(_Label(title, results.in_servers(last.delivered), COLOURS[method]))
        _mark_knee(results, method, axes)
    axes.set_title("Replies delivered, by number of real servers", loc="left")
    _finish(axes, [point.servers for point in results.points], most, ends)


def _limits(results: Results) -> list[tuple[str, float]]:
    """The published arithmetic: a label, and the number of servers that fill a director."""
    limits = [
        (f"published: full with {{:.0f}} servers of {rate / 1e3:.0f} kB/s", PUBLISHED.servers(rate))
        for rate in SERVERS
    ]
    for capacity in models.of_run(results):
        cost = f"{capacity.cost * 1e6:.0f} µs"
        limits.append(
            (f"engine {capacity.name}, {cost}: {{:.0f}} servers", capacity.servers(results.server_rate))
        )
    return [(label.format(limit), limit) for label, limit in limits]


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
    )


def _simulation(results: Results, axes: Any) -> None:
    """The model's curves with the measured points."""
    xs = _spread(_FAR)
    ends: list[_Label] = []
    for method in results.methods:
        model = models.calibrated(results, method)
        if model is None:
            continue
        for dashes, (label, values) in zip(("-", "--", ":"), _curves(model, xs), strict=False):
            worth = [results.in_servers(value) for value in values]
            axes.plot(xs, worth, color=COLOURS[method], linewidth=1.3, linestyle=dashes)
            ends.append(_Label(f"{TITLES[method]}, {label}", worth[-1], COLOURS[method]))
        points = results.sound(method)
        worth = [results.in_servers(point.delivered) for point in points]
        axes.plot([point.servers for point in points], worth, linestyle="none", **_style(method))
    axes.set_title("The model (lines) beyond what was measured (marks)", loc="left")
    _finish(axes, (1, 10, 100, 1000, 10_000), _FAR, ends)


def _curves(model: models.Model, xs: Sequence[int]) -> list[tuple[str, list[float]]]:
    """One director, and as many as are needed behind DNS round robin or consistent hashing."""
    single = ("one director", [model.delivered(x) for x in xs])
    if model.method == "tun":
        return [single]  # VS-TUN differs from VS-DR by 20 bytes: more lines would show nothing new
    dns = [model.shared(x, models.by_dns(model.directors_for(x))) for x in xs]
    hashed = [model.shared(x, models.by_hashing(model.directors_for(x))) for x in xs]
    return [single, ("several behind DNS round robin", dns), ("several behind consistent hashing", hashed)]


# ---- how they look ----


def _style(method: str) -> dict[str, Any]:
    return {
        "color": COLOURS[method],
        "marker": MARKS[method],
        "markerfacecolor": "white",
        "markersize": _SIZES[method],
    }


def _finish(axes: Any, ticks: Sequence[int], most: int, ends: Sequence[_Label]) -> None:
    """Set logarithmic axes, and put labels at the right, as near to the ends of the lines as possible."""
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    low, high = 0.7, most * 1.6
    axes.set(xscale="log", yscale="log", xlim=(0.85, most * 1.1), ylim=(low, high))
    axes.set_xlabel("real servers")
    axes.set_ylabel("delivered, in units of one server's link")
    axes.set_xticks(sorted(set(ticks)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
    lowest = -math.inf
    for end in sorted(ends, key=lambda end: end.y):
        lowest = max(math.log10(end.y), lowest + _APART * math.log10(high / low))
        axes.text(most * 1.2, 10**lowest, end.text, color=end.colour, va="center")


def _spread(most: int) -> list[int]:
    """Numbers of servers from 1 on, evenly spaced on a logarithmic axis."""
    return sorted({round(most ** (step / 60)) for step in range(61)})
