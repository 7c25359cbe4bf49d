"""Draws a measurement as pictures, PNG and SVG, from its summary alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from bench.plots import picture
from failover.blackout import ERAS
from failover.measured import BIN, Summary, blackouts, lost
from failover.survival import MODES
from labs.methods import METHODS, TITLES

_MARKS = "osd"
_STYLES = {"none": ":", "sync": "-", "mh": "--"}
_BINS = 12  # of ages


def draw(found: Summary, folder: Path) -> None:
    """Draw the pictures that have figures."""
    if found["blackout"]:
        with picture(folder / "blackout", 8, 3.4, dpi=120) as axes:
            _draw_blackouts(found, axes)
    if any(row["load"] == "quiet" for row in found["survival"]):
        with picture(folder / "survival", 8, 4.4, dpi=120) as axes:
            _draw_survival(found, axes)


def _draw_blackouts(found: Summary, axes: Any) -> None:
    """A dot for each kill, the oldest technique on top; a line for the computed time."""
    eras = [era for era in ERAS if blackouts(found, era.name)]
    for place, era in enumerate(reversed(eras)):
        times = blackouts(found, era.name)
        spread = [place + 0.2 * ((index * 7) % 11 - 5) / 5 for index in range(len(times))]
        axes.plot(times, spread, "o", color="0.55", markersize=4)
        axes.plot([era.expected] * 2, [place - 0.35, place + 0.35], color="black", linewidth=1)
        text = f"median {_time(median(times))}, worst {_time(max(times))}"
        axes.text(max(times) * 1.25, place, text, va="center")
    axes.set_yticks(range(len(eras)), [era.title for era in reversed(eras)])
    axes.set_xscale("log")
    axes.set_xlim(0.01, 300)
    axes.set_xticks([0.01, 0.1, 1, 10], ["10 ms", "100 ms", "1 s", "10 s"])
    axes.set_xlabel("longest time without an answer; the line is what the settings say")
    axes.set_title("The active director dies (less is better)", loc="left")


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _draw_survival(found: Summary, axes: Any) -> None:
    for mode in MODES:
        for mark, method in zip(_MARKS, METHODS, strict=True):
            points = dict(_points(found, mode.name, method))
            axes.plot(
                list(points),
                list(points.values()),
                marker=mark,
                markersize=4,
                linestyle=_STYLES[mode.name],
                color="black" if mode.sync else "0.5",
                label=f"{TITLES[method]}, {mode.title}",
            )
    axes.set_ylim(-4, 104)
    axes.set_xlabel("age of the connection when its director died, seconds")
    axes.set_ylabel("lost, %")
    axes.set_title("Connections lost, by their age (less is better)", loc="left")
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))


def _points(found: Summary, mode: str, method: str) -> Iterator[tuple[float, float]]:
    """Yield the middle of each range of ages, in seconds, and the lost connections in per cent."""
    for place in range(_BINS):
        gone, total = lost(found, mode, method, "quiet", range(place, place + 1))
        if total:
            yield (place + 0.5) * BIN, 100 * gone / total
