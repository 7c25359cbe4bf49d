"""Files with a JSON object on each line, appended to while others read them, and kept whatever ends the run.

The director's events have a writer of their own (director/event_file.py), which never blocks.
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

    Lines that are something else are skipped, and so is a last line that is still being written.
    """
    text = file.read_text(errors="replace") if file.exists() else ""
    for line in text.split("\n")[:-1]:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry
