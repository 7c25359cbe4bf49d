"""The results of a comparison, with what is missing and why, as JSON and CSV.

They come from the journal of a run, so they can be computed again, also for an interrupted run.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compare.dispatch.outcome import Outcome
from compare.knee import Knee, find
from compare.point import Point
from compare.settings import bytes_a_second
from labs.methods import METHODS
from labs.run import json_lines

POINT_COLUMNS = (
    "method",
    "servers",
    "delivered",
    "server_equivalents",
    "director_out",
    "director_in",
    "director_packets",
    "director_link",
    "server_links",
    "idle",
    "director_cpu",
    "limited_by",
    "troubles",
)


# The questions that the trials of a method answer.
PLAIN = "near"
NO_TUNNEL = "without a tunnel device"
NO_ARP_CONTROL = "without ARP control"
ELSEWHERE = "in another network"
ELSEWHERE_NO_ARP = "in another network, without ARP control"
CHANGES = "changes on the server"


@dataclass(frozen=True, slots=True)
class Journal:
    """A file with every result, written at once, so an interrupted run keeps its points."""

    file: Path

    def add(self, kind: str, fields: dict[str, Any]) -> None:
        json_lines.append(self.file, {"kind": kind, **fields})

    def all(self, kind: str) -> Iterator[dict[str, Any]]:
        """The entries of a kind, in order."""
        for entry in json_lines.entries(self.file):
            if entry.pop("kind", "") == kind:
                yield entry


@dataclass(frozen=True, slots=True)
class Finding:
    """A method's answer to a question, and the observations behind it, for people."""

    method: str
    question: str
    works: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A step that was planned and not measured, with the reason."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Results:
    machine: dict[str, Any]
    settings: dict[str, Any]
    points: tuple[Point, ...]
    findings: tuple[Finding, ...]
    missing: tuple[Missing, ...]
    dispatch: tuple[Outcome, ...] = ()

    @classmethod
    def of(cls, journal: Journal) -> Results:
        """The results in a journal; planned steps that are not in it are missing."""
        begun: dict[str, Any] = next(iter(journal.all("begun")))
        done = {entry["what"] for entry in journal.all("done")}
        reasons = {entry["what"]: entry["why"] for entry in journal.all("failed")}
        absent = [what for what in begun["planned"] if what not in done]
        cut_short = "the run was cut short before"
        return cls(
            machine=begun["machine"],
            settings=begun["settings"],
            points=tuple(map(Point.from_dict, journal.all("point"))),
            findings=tuple(Finding(**entry) for entry in journal.all("finding")),
            missing=tuple(Missing(what, reasons.get(what, cut_short)) for what in absent),
            dispatch=tuple(map(Outcome.from_dict, journal.all("dispatch"))),
        )

    @property
    def family(self) -> int:
        """The IP version; older results do not name theirs, which is 4."""
        return int(self.settings.get("family", 4))

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(method for method in METHODS if self.of_method(method))

    @property
    def asked(self) -> tuple[str, ...]:
        """The methods that were to be compared."""
        return tuple(method for method in METHODS if method in self.settings["methods"])

    def of_method(self, method: str) -> list[Point]:
        points = (point for point in self.points if point.method == method)
        return sorted(points, key=lambda point: point.servers)

    def sound(self, method: str) -> list[Point]:
        """The points that characterise the method: nothing failed, and the machine was fast enough."""
        return [point for point in self.of_method(method) if not point.troubles and not point.by_machine]

    def too_much(self, method: str) -> list[Point]:
        """The points at which the processor was the limit."""
        return [point for point in self.of_method(method) if not point.troubles and point.by_machine]

    def knee(self, method: str) -> Knee | None:
        return find([(point.servers, point.delivered) for point in self.sound(method)])

    @property
    def troubled(self) -> list[Point]:
        return [point for point in self.points if point.troubles]

    @property
    def server_rate(self) -> float:
        """The rate of a real server's link, in bytes per second."""
        return bytes_a_second(self.settings["server_kbit"])

    def in_servers(self, rate: float) -> float:
        """A rate in units of a real server's link."""
        return rate / self.server_rate

    def finding(self, method: str, question: str) -> Finding | None:
        wanted = (method, question)
        found = (finding for finding in self.findings if (finding.method, finding.question) == wanted)
        return next(found, None)

    @property
    def complete(self) -> bool:
        return not self.missing and not self.troubled

    # ---- kept ----

    def as_dict(self) -> dict[str, Any]:
        """The results as a dictionary for JSON."""
        knees = {method: self.knee(method) for method in self.methods}
        return {
            "machine": self.machine,
            "settings": self.settings,
            "points": [{**point.as_dict(), "limited_by": point.limited_by} for point in self.points],
            "knees": {method: asdict(knee) if knee else None for method, knee in knees.items()},
            "findings": [asdict(finding) for finding in self.findings],
            "dispatch": [outcome.as_dict() for outcome in self.dispatch],
            "missing": [asdict(step) for step in self.missing],
        }

    def write(self, folder: Path) -> None:
        """Write compare.json and compare.csv."""
        (folder / "compare.json").write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        with (folder / "compare.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(POINT_COLUMNS)
            table.writerows(self._row(point) for method in self.methods for point in self.of_method(method))

    def _row(self, point: Point) -> Sequence[object]:
        values = {
            **point.as_dict(),
            "server_equivalents": self.in_servers(point.delivered),
            "limited_by": point.limited_by,
            "troubles": "; ".join(point.troubles),
        }
        return [
            f"{value:.6g}" if isinstance(value, float) else value for value in map(values.get, POINT_COLUMNS)
        ]
