"""The journal of an exercise: hints, checks, shells, runs of the doctor, resets, in order.

It is a file of JSON lines in the run's folder, and becomes part of a submission. `./inv status` reads it from
outside.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from labs.run import json_lines

JOURNAL = "journal.jsonl"


class Journal:
    """The journal in the folder of a run."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / JOURNAL

    def write(self, what: str, **details: Any) -> None:
        """Append an entry with the current time."""
        json_lines.append(self._file, {"at": round(time.time(), 1), "what": what, **details})

    def entries(self) -> list[json_lines.Entry]:
        """All entries; damaged lines are skipped."""
        return [entry for entry in json_lines.entries(self._file) if "what" in entry]

    def count(self, what: str) -> int:
        return sum(entry["what"] == what for entry in self.entries())

    def last(self, what: str) -> json_lines.Entry:
        """The last entry of a kind, empty if there is none."""
        return next((entry for entry in reversed(self.entries()) if entry["what"] == what), {})
