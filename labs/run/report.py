"""The result of a lab for other programs: report.json, and the file named by --report.

Others rely on its fields: add fields, never rename any.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labs.checks.result import Check
from labs.plan import Plan
from labs.run.packet_table import Row


@dataclass(frozen=True, slots=True)
class ServerReport:
    """A real server, with the number of http connections that the director gave it."""

    name: str
    address: str
    weight: int
    connections: int


@dataclass(frozen=True, slots=True)
class Failure:
    """The measurements of a move of the VIP (lab-ha): `what` happened to which `director`.

    `before` and `after` own the VIP. `silence` is the client's longest time without an answer, in seconds.
    `connections` were open at the time, each with its `kind` and `result`, empty if it survived. `pause` is
    the longest time for which the client itself got no processor, in seconds.
    """

    what: str
    director: str
    before: str
    after: str
    silence: float
    connections: tuple[dict[str, str], ...]
    pause: float = 0.0

    @property
    def lived(self) -> int:
        return sum(not connection["result"] for connection in self.connections)


@dataclass(frozen=True, slots=True)
class Report:
    """`seconds` has a figure per step, and `total`; `notes` are remarks on how this machine ran the lab."""

    plan: Plan
    engine: str
    scheduler: str
    servers: tuple[ServerReport, ...]
    results: tuple[tuple[str, Check], ...]  # the subject of each check, and the check
    packets: tuple[Row | None, ...]
    seconds: dict[str, float]
    notes: tuple[str, ...]
    folder: Path
    failures: tuple[Failure, ...] = ()

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(check for _, check in self.results)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        return {
            "lab": self.plan.lab,
            "engine": self.engine,
            "scheduler": self.scheduler,
            "family": self.plan.family,
            "ok": self.ok,
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
            "servers": [asdict(server) for server in self.servers],
            "checks": [asdict(check) for check in self.checks],
            "packets": [row.as_dict() for row in self.packets if row],
            "notes": list(self.notes),
            "folder": str(self.folder),
            **({"failures": [asdict(failure) for failure in self.failures]} if self.failures else {}),
        }

    def written(self, path: Path) -> str:
        """Write the report; a sentence if that failed, so that the result itself is not lost, else empty."""
        try:
            path.write_text(json.dumps(self.as_dict(), indent=2) + "\n")
        except OSError as error:
            return f"The report could not be written to {path}: {error.strerror}."
        return ""
