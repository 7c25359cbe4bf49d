"""Files with one JSON object per line, read while they grow, and complete whenever a run ends.

The director's events have their own writer (director/event_file.py), which never blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


def append(file: Path, entry: Mapping[str, Any]) -> None:
    """Add a line. Raises OSError."""
    with file.open("a") as lines:
        lines.write(json.dumps(entry) + "\n")


def entries(file: Path) -> Iterator[Entry]:
    """The objects in order; none if there is no file.

    Other lines are skipped, and so is a last line that is still being written.
    """
    text = file.read_text(errors="replace") if file.exists() else ""
    for line in text.split("\n")[:-1]:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict):
            yield entry
