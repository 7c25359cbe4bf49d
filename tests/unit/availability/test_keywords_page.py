"""docs/keepalived.md has the tables of availability/config/keywords.py; UPDATE_GOLDEN=1 rewrites them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from availability.config.keywords import REFUSED, TABLE, Keyword

PAGE = Path(__file__).resolve().parents[3] / "docs" / "keepalived.md"
_FIRST = "## Supported\n"


def tables() -> str:
    return "\n".join([_FIRST, *_supported(), "## Not supported\n", *_refused()])


def _supported() -> Iterator[str]:
    for block, keywords in TABLE.items():
        yield f"### {_title(block)}\n"
        yield "| keyword | values | what it does |\n|---|---|---|"
        for keyword in keywords:
            names = ", ".join(f"`{name}`" for name in keyword.names)
            yield f"| {names} | {_values(keyword)} | {_cell(keyword.meaning)} |"
        yield ""


def _refused() -> Iterator[str]:
    yield "| in | keywords | why |\n|---|---|---|"
    for block, reasons in REFUSED.items():
        for reason, words in reasons.items():
            names = ", ".join(f"`{word}`" for word in words.split())
            yield f"| {_title(block)} | {names} | {reason} |"
    yield ""


def _title(block: str) -> str:
    return f"`{block}`" if block else "top level"


def _values(keyword: Keyword) -> str:
    form = {"bool": "on or off (on)", "flag": "", "number?": "number, optional"}.get(
        keyword.form, keyword.form
    )
    return " ".join(filter(None, [form, _cell(keyword.choices)]))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def test_the_page_has_the_tables() -> None:
    prose, _, _ = PAGE.read_text().partition(_FIRST)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(prose + tables())
    assert PAGE.read_text() == prose + tables()
