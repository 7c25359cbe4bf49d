"""A recording that is one JSON document, compressed."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

Recording = dict[str, Any]


def read(file: Path) -> Recording:
    with lzma.open(file, "rt", encoding="ascii") as stream:
        recording: Recording = json.load(stream)
    return recording


def write(recording: Recording, file: Path) -> None:
    with lzma.open(file, "wt", encoding="ascii") as stream:
        json.dump(recording, stream, separators=(",", ":"))
