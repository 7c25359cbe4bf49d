"""A recording: one JSON document, compressed."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

Recording = dict[str, Any]


def read(file: Path) -> Any:
    """The object or list that was written."""
    with lzma.open(file, "rt", encoding="ascii") as stream:
        return json.load(stream)


def write(recording: Recording | list[Recording], file: Path) -> None:
    """Replace the file once everything is written."""
    unfinished = file.with_suffix(".unfinished")
    with lzma.open(unfinished, "wt", encoding="ascii") as stream:
        json.dump(recording, stream, separators=(",", ":"))
    unfinished.replace(file)
