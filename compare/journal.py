"""What was measured, a line of JSON each, written down the moment it is known.

So whatever ends a run, the points that it had are there. Sandboxes come and go; the journal stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Journal:
    """`kind` says what a line is about."""

    file: Path

    def add(self, kind: str, what: dict[str, Any]) -> None:
        with self.file.open("a") as lines:
            lines.write(json.dumps({"kind": kind, **what}) + "\n")

    def all(self, kind: str) -> Iterator[dict[str, Any]]:
        """In the order in which they were added; a last line that was cut off is none."""
        text = self.file.read_text() if self.file.exists() else ""
        for line in text.split("\n")[:-1]:
            entry = json.loads(line)
            if entry.pop("kind") == kind:
                yield entry
