"""Makes the fixture of the page's tests from a run.

    python -m tests.view.fixture RUN > tests/view/run_nat.json

Whole walks of a few connections are kept, and all else that is small.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from view import run
from view.story import Story

_WALKS = 14  # of each connection
_CONNECTIONS = 4
_TABLES = 4


def trimmed(folder: Path) -> dict[str, Any]:
    """The run document and some of its items, numbered anew."""
    document = run.document(folder)
    document["name"] = "20260101-120000-lab-nat"
    story = Story(folder, document)
    kept: list[dict[str, Any]] = []
    walks: dict[str, set[int]] = {}
    counts: Counter[str] = Counter()
    for item in [*story.more(), *story.end()]:
        kind, connection = item["kind"], item.get("connection")
        counts[kind] += 1
        if kind == "packet" and connection:
            if connection not in walks and len(walks) >= _CONNECTIONS and ":21" not in connection[-3:]:
                continue
            of = walks.setdefault(connection, set())
            if item["walk"] not in of and (len(of) >= _WALKS or len(walks) > _CONNECTIONS + 1):
                continue
            of.add(item["walk"])
        elif (kind == "packet" and counts[kind] > 60) or (kind == "tables" and counts[kind] % _TABLES):
            continue
        kept.append(item)
    for number, item in enumerate(kept, 1):
        item["id"] = number
    return {"run": document, "items": kept}


if __name__ == "__main__":
    json.dump(trimmed(run.find(sys.argv[1])), sys.stdout, separators=(",", ":"))
    sys.stdout.write("\n")
