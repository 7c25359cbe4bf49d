"""The results of a run with --growth: as JSON, as CSV, and as tables whose columns are the points."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.figures import Spread
from bench.growth import DIMENSIONS
from bench.measures import Figure
from bench.tables import CUT_SHORT, Titled, markdown, number


@dataclass(frozen=True, slots=True)
class Point:
    """The value of a figure at a point in one round."""

    growth: str
    contender: str
    figure: str
    point: int
    round: int
    value: float


@dataclass(slots=True)
class GrowthResults:
    """`missing` has the reason where a contender was not measured, or only up to some point."""

    machine: dict[str, object]
    settings: dict[str, object]
    points: list[Point] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)
    complete: bool = False

    def lacks(self, contender: str, why: str) -> None:
        entry = {"contender": contender, "why": why}
        if entry not in self.missing:
            self.missing.append(entry)

    def add(self, name: str, contender: str, point: int, turn: int, found: dict[str, float]) -> None:
        self.points += [Point(name, contender, figure, point, turn, value) for figure, value in found.items()]

    def line(self, name: str, contender: str, figure: str) -> dict[int, Spread]:
        """The values of a figure, by point."""
        values: dict[int, list[float]] = {}
        for at in self.points:
            if (at.growth, at.contender, at.figure) == (name, contender, figure):
                values.setdefault(at.point, []).append(at.value)
        spreads = {point: Spread.of(found) for point, found in values.items()}
        return {point: spread for point, spread in spreads.items() if spread}

    def charts(self) -> Iterator[tuple[str, str, Figure]]:
        """The charts: (name of the dimension, name of the figure, figure)."""
        for name, dimension in DIMENSIONS.items():
            for figure, about in dimension.figures.items():
                if self._at(name, figure):
                    yield name, figure, about

    def _at(self, name: str, figure: str) -> list[Point]:
        return [at for at in self.points if (at.growth, at.figure) == (name, figure)]

    def contenders(self, name: str, figure: str) -> list[str]:
        return list(dict.fromkeys(at.contender for at in self._at(name, figure)))

    def rows(self, name: str, figure: str) -> tuple[list[str], list[list[str]]]:
        """The head and rows of a table: medians, in brackets their ratios to the contender's first point."""
        points = sorted({at.point for at in self._at(name, figure)})
        rows = []
        for contender in self.contenders(name, figure):
            line = self.line(name, contender, figure)
            first = line[min(line)].median
            rows.append([contender, *(_cell(line.get(point), first) for point in points)])
        return ["", *(f"{point:,}" for point in points)], rows

    def tables(self) -> Iterator[Titled]:
        for name, figure, about in self.charts():
            title = f"{about.title}, {about.unit}, by the number of {DIMENSIONS[name].axis}"
            yield title, *self.rows(name, figure)

    def notes(self) -> list[str]:
        """Lines that say what the ratios refer to, and what is missing."""
        lines = ["Medians of the rounds; in brackets the ratio to the same contender's first point."]
        lines += [] if self.complete else [CUT_SHORT]
        lines += [f"- {entry['contender']}: {entry['why']}" for entry in self.missing]
        return lines

    def page(self) -> str:
        """The whole page in Markdown."""
        return markdown(self.machine, self.settings, self.tables(), self.notes())

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> GrowthResults:
        """The results that were stored in growth.json."""
        points = [Point(**fields) for fields in kept["points"]]
        return cls(kept["machine"], kept["settings"], points, kept["missing"], kept["complete"])

    def write(self, folder: Path) -> None:
        """Write growth.json, growth.csv and growth.md."""
        (folder / "growth.md").write_text(self.page())
        figures = {f"{name}.{figure}": asdict(about) for name, figure, about in self.charts()}
        everything = {
            "machine": self.machine,
            "settings": self.settings,
            "complete": self.complete,
            "figures": figures,
            "points": [asdict(at) for at in self.points],
            "missing": self.missing,
        }
        (folder / "growth.json").write_text(json.dumps(everything, indent=1) + "\n")
        with (folder / "growth.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["growth", "figure", "unit", "contender", "point", "median", "least", "most"])
            for name, figure, about in self.charts():
                for contender in self.contenders(name, figure):
                    for point, spread in self.line(name, contender, figure).items():
                        numbers = (f"{value:.6g}" for value in (spread.median, spread.least, spread.most))
                        table.writerow([name, figure, about.unit, contender, point, *numbers])


def _cell(spread: Spread | None, first: float) -> str:
    return f"{number(spread.median)} ({spread.median / first:.2f})" if spread else "-"
