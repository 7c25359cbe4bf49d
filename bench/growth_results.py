"""What was measured about growth: as JSON, as CSV, and as tables whose columns are the points."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import growth, layout
from bench.measures import Figure
from bench.results import Spread


@dataclass(frozen=True, slots=True)
class Point:
    """One figure at one point, as it was measured in one round."""

    growth: str
    contender: str
    figure: str
    point: int
    round: int
    value: float


@dataclass(slots=True)
class GrowthResults:
    """`missing` says of a contender why it was not measured, or not further."""

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
        """By point."""
        values: dict[int, list[float]] = {}
        for one in self.points:
            if (one.growth, one.contender, one.figure) == (name, contender, figure):
                values.setdefault(one.point, []).append(one.value)
        spreads = {point: Spread.of(found) for point, found in values.items()}
        return {point: spread for point, spread in spreads.items() if spread}

    def charts(self) -> Iterator[tuple[str, str, Figure]]:
        """What there is to show: growth, figure's name, figure."""
        for name in growth.names():
            for figure, about in growth.load(name).FIGURES.items():
                if any((one.growth, one.figure) == (name, figure) for one in self.points):
                    yield name, figure, about

    def contenders(self, name: str, figure: str) -> list[str]:
        found = (one.contender for one in self.points if (one.growth, one.figure) == (name, figure))
        return list(dict.fromkeys(found))

    def rows(self, name: str, figure: str) -> tuple[list[str], list[list[str]]]:
        """A table's head and its rows: medians, and behind each its ratio to the contender's first point."""
        known = [one for one in self.points if (one.growth, one.figure) == (name, figure)]
        points = sorted({one.point for one in known})
        rows = []
        for contender in self.contenders(name, figure):
            line = self.line(name, contender, figure)
            first = line[min(line)].median
            rows.append([contender, *(_cell(line.get(point), first) for point in points)])
        return ["", *(f"{point:,}" for point in points)], rows

    def tables(self) -> Iterator[layout.Titled]:
        for name, figure, about in self.charts():
            title = f"{about.title}, {about.unit}, by the number of {growth.load(name).AXIS}"
            yield title, *self.rows(name, figure)

    def notes(self) -> list[str]:
        """What the columns say, and what is missing."""
        lines = ["Medians of the rounds; in brackets the ratio to the same contender's first point."]
        lines += [] if self.complete else [layout.CUT_SHORT]
        lines += [f"- {one['contender']}: {one['why']}" for one in self.missing]
        return lines

    def markdown(self) -> str:
        parts = [layout.about(self.machine, self.settings), *layout.markdown(self.tables())]
        return "\n\n".join([*parts, "\n".join(self.notes())]) + "\n"

    def write(self, folder: Path) -> None:
        """growth.json, growth.csv and growth.md."""
        (folder / "growth.md").write_text(self.markdown())
        figures = {f"{name}.{figure}": asdict(about) for name, figure, about in self.charts()}
        everything = {
            "machine": self.machine,
            "settings": self.settings,
            "complete": self.complete,
            "figures": figures,
            "points": [asdict(one) for one in self.points],
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
    return f"{layout.number(spread.median)} ({spread.median / first:.2f})" if spread else "-"
