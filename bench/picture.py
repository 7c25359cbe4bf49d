"""One picture, as PNG and SVG: the same picture is the same file, whenever it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any


@contextmanager
def picture(file: Path, width: float, height: float, dpi: int) -> Iterator[Any]:
    """The axes to draw on, of so many inches; kept as FILE.png and FILE.svg when that is done."""
    getLogger("matplotlib").setLevel(ERROR)  # of no interest: where it keeps what it knows of fonts
    import matplotlib  # takes a second: only who wants pictures waits for it

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = file.name
    from matplotlib import pyplot

    drawn, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    yield axes
    drawn.savefig(file.with_suffix(".png"), dpi=dpi)
    drawn.savefig(file.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(drawn)
