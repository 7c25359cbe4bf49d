"""What happened in an exercise, in order: one line of JSON each, in the exercise's folder.

Hints, checks, shells, questions to the doctor. It goes into what is handed in.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FILE = "journal.jsonl"
Entry = dict[str, Any]


class Journal:
    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE

    def write(self, what: str, **details: Any) -> None:
        """Add one entry, with the time of day."""
        with self._file.open("a") as lines:
            lines.write(json.dumps({"at": round(time.time(), 1), "what": what, **details}) + "\n")

    def entries(self) -> list[Entry]:
        """All of them; a line that was cut short is left out."""
        return list(_read(self._file))

    def count(self, what: str) -> int:
        return sum(entry["what"] == what for entry in self.entries())


def _read(file: Path) -> Iterator[Entry]:
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "what" in entry:
            yield entry
