"""The figures of a side-by-side run: each sample with its round, medians, and ratios within each round."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench import measures

DIRECT, YARDSTICK = "direct", "ipvs"
_COLUMNS = ("method", "contender", "figure", "unit", "median", "least", "most", "to ipvs", "to direct")


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a figure in one round."""

    round: int
    method: str
    contender: str
    figure: str
    value: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum of several values."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        return cls(median(values), min(values), max(values)) if values else None


@dataclass(slots=True)
class Results:
    """`missing` has the reason where a contender, or a figure of it, could not be measured by a method.

    They become `complete` at the end of a run, so a run that was cut short leaves them incomplete.
    """

    machine: dict[str, object]
    settings: dict[str, object]
    samples: list[Sample] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)
    complete: bool = False

    def lacks(self, method: str, contender: str, figure: str, why: str) -> None:
        """Note that a figure could not be measured; an empty `figure` stands for all figures."""
        entry = {"method": method, "contender": contender, "figure": figure, "why": why}
        if entry not in self.missing:
            self.missing.append(entry)

    def values(self, method: str, contender: str, figure: str) -> dict[int, float]:
        """The values of a figure, by round."""
        wanted = (method, contender, figure)
        return {
            sample.round: sample.value
            for sample in self.samples
            if (sample.method, sample.contender, sample.figure) == wanted
        }

    def spread(self, method: str, contender: str, figure: str) -> Spread | None:
        return Spread.of(list(self.values(method, contender, figure).values()))

    def ratio(self, method: str, contender: str, figure: str, to: str) -> Spread | None:
        """The ratio to another contender, within each round: the machine may have been slow in some round."""
        own, others = self.values(method, contender, figure), self.values(method, to, figure)
        return Spread.of([own[at] / others[at] for at in own.keys() & others.keys() if others[at]])

    def methods(self) -> list[str]:
        return list(dict.fromkeys(sample.method for sample in self.samples))

    def figures(self, method: str = "") -> dict[str, measures.Figure]:
        """The measured figures, in the order of the tables."""
        measured = {sample.figure for sample in self.samples if method in ("", sample.method)}
        return {name: figure for name, figure in measures.figures().items() if name in measured}

    def measured(self, method: str = "") -> list[str]:
        """The contenders with a value of a figure, by one method or by any."""
        found = (sample.contender for sample in self.samples if method in ("", sample.method))
        return list(dict.fromkeys(found))

    def contenders(self, method: str) -> list[str]:
        """The measured contenders, then those with a reason why they were not."""
        without = (entry["contender"] for entry in self.missing if entry["method"] == method)
        return list(dict.fromkeys([*self.measured(method), *without]))

    # ---- kept ----

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "machine": self.machine,
            "settings": self.settings,
            "complete": self.complete,
            "figures": {name: asdict(figure) for name, figure in measures.figures().items()},
            "samples": [asdict(sample) for sample in self.samples],
            "missing": self.missing,
        }

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Results:
        """The results that `as_dict` has stored in results.json."""
        samples = [Sample(**fields) for fields in kept["samples"]]
        return cls(kept["machine"], kept["settings"], samples, kept["missing"], kept["complete"])

    def write(self, folder: Path) -> None:
        """Write results.json and results.csv."""
        (folder / "results.json").write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        with (folder / "results.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(_COLUMNS)
            table.writerows(self._rows())

    def _rows(self) -> Iterator[list[object]]:
        for method in self.methods():
            for contender in self.contenders(method):
                for name, figure in measures.figures().items():
                    spread = self.spread(method, contender, name)
                    if spread is None:
                        continue
                    ratios = (self.ratio(method, contender, name, to) for to in (YARDSTICK, DIRECT))
                    numbers = [f"{value:.6g}" for value in (spread.median, spread.least, spread.most)]
                    parts = [f"{ratio.median:.3f}" if ratio else "" for ratio in ratios]
                    yield [method, contender, name, figure.unit, *numbers, *parts]
