"""What docs/bench/README.md shows at a glance is what was measured."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "bench"
_TABLE = re.compile(r"\(([\w.-]+/table\.md)\)")


def test_the_tables_at_a_glance_are_those_that_are_kept() -> None:
    section = (FOLDER / "README.md").read_text().partition("### At a glance\n")[2].partition("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    kept = [row for name in _TABLE.findall(section) for row in (FOLDER / name).read_text().splitlines()]
    assert len(rows) > 15
    assert [row for row in rows if row not in kept] == []
