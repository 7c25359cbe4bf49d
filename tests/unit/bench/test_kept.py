"""What is kept in docs/bench and docs/comparison is what was measured, and what the pages show of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import tables
from bench.figures import Results
from bench.growth_results import GrowthResults

DOCS = Path(__file__).resolve().parents[3] / "docs"
FOLDER = DOCS / "bench"
_TABLE = re.compile(r"\(([\w.-]+/table\.md)\)")
_PICTURE = re.compile(r"!\[[^]]*\]\(([^)]+)\)")


def test_the_tables_at_a_glance_are_those_that_are_kept() -> None:
    section = (FOLDER / "README.md").read_text().partition("### At a glance\n")[2].partition("\n### ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    kept = [row for name in _TABLE.findall(section) for row in (FOLDER / name).read_text().splitlines()]
    assert len(rows) > 15
    assert [row for row in rows if row not in kept] == []


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*/results.json")), ids=lambda file: file.parent.name)
def test_a_kept_table_is_made_of_its_results(file: Path) -> None:
    results = Results.from_dict(json.loads(file.read_text()))
    assert (file.parent / "table.md").read_text() == tables.page(results)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*/growth.json")), ids=lambda file: file.parent.name)
def test_a_kept_page_about_growth_is_made_of_its_results(file: Path) -> None:
    results = GrowthResults.from_dict(json.loads(file.read_text()))
    assert (file.parent / "growth.md").read_text() == results.page()


def test_every_kept_picture_is_shown_by_a_page() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    shown = {(page.parent / name).resolve() for page in pages for name in _PICTURE.findall(page.read_text())}
    kept = {file for name in ("bench", "comparison") for file in (DOCS / name).rglob("*.png")}
    assert kept - shown == set()
