"""All figures of a run: what was measured when, medians, and ratios within each round."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from bench import measures

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure, as it was measured in one round."""

    round: int
    method: str
    contender: str
    figure: str
    value: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several values: the median, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        return cls(median(values), min(values), max(values)) if values else None


@dataclass(slots=True)
class Results:
    """`missing` says of a contender in a method, or of one of its figures, why there is none.

    They are not `complete` while it is measured, and stay so where somebody has cut it short.
    """

    machine: dict[str, object]
    settings: dict[str, object]
    samples: list[Sample] = field(default_factory=list)
    missing: list[dict[str, str]] = field(default_factory=list)
    complete: bool = False

    def lacks(self, method: str, contender: str, figure: str, why: str) -> None:
        entry = {"method": method, "contender": contender, "figure": figure, "why": why}
        if entry not in self.missing:
            self.missing.append(entry)

    def values(self, method: str, contender: str, figure: str) -> dict[int, float]:
        """By round."""
        return {
            one.round: one.value
            for one in self.samples
            if (one.method, one.contender, one.figure) == (method, contender, figure)
        }

    def spread(self, method: str, contender: str, figure: str) -> Spread | None:
        return Spread.of(list(self.values(method, contender, figure).values()))

    def ratio(self, method: str, contender: str, figure: str, to: str) -> Spread | None:
        """To another contender, round by round: the machine may have been slow in one of them."""
        own, others = self.values(method, contender, figure), self.values(method, to, figure)
        return Spread.of([own[at] / others[at] for at in own.keys() & others.keys() if others[at]])

    def methods(self) -> list[str]:
        return list(dict.fromkeys(one.method for one in self.samples))

    def contenders(self, method: str) -> list[str]:
        """Those that were measured, and those of which it is said why not."""
        measured = [one.contender for one in self.samples if one.method == method]
        return list(
            dict.fromkeys([*measured, *(one["contender"] for one in self.missing if one["method"] == method)])
        )

    # ---- kept ----

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "machine": self.machine,
            "settings": self.settings,
            "complete": self.complete,
            "figures": {name: asdict(figure) for name, figure in measures.figures().items()},
            "samples": [asdict(one) for one in self.samples],
            "missing": self.missing,
        }

    def write(self, folder: Path) -> None:
        """results.json and results.csv."""
        (folder / "results.json").write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        with (folder / "results.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(
                ["method", "contender", "figure", "unit", "median", "least", "most", "to ipvs", "to direct"]
            )
            table.writerows(self._rows())

    def _rows(self) -> Iterator[list[object]]:
        for method in self.methods():
            for contender in self.contenders(method):
                for name, figure in measures.figures().items():
                    spread = self.spread(method, contender, name)
                    if spread is None:
                        continue
                    ratios = (self.ratio(method, contender, name, to) for to in ("ipvs", DIRECT))
                    numbers = [f"{value:.6g}" for value in (spread.median, spread.least, spread.most)]
                    parts = [f"{one.median:.3f}" if one else "" for one in ratios]
                    yield [method, contender, name, figure.unit, *numbers, *parts]
