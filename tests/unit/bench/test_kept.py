"""What the README shows of the bench is what was measured."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = re.compile(r"\(docs/bench/([\w.-]+)/table\.md\)")


def test_the_readmes_tables_are_those_that_are_kept() -> None:
    section = (ROOT / "README.md").read_text().partition("## How fast\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    kept: list[str] = []
    for name in FOLDER.findall(section):
        kept += (ROOT / "docs" / "bench" / name / "table.md").read_text().splitlines()
    assert len(rows) > 15
    assert [row for row in rows if row not in kept] == []
