"""What the README shows of the bench is what was measured."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = re.compile(r"\(docs/bench/([\w.-]+)/table\.md\)")


def test_the_readmes_table_is_the_one_that_is_kept() -> None:
    section = (ROOT / "README.md").read_text().partition("## How fast\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    (name,) = FOLDER.findall(section)
    kept = (ROOT / "docs" / "bench" / name / "table.md").read_text().splitlines()
    assert len(rows) > 5
    assert [row for row in rows if row not in kept] == []
