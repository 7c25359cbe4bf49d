"""The picture of the states in the documentation is the one that the tables give."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from director.core.states import DIAGRAMS, mermaid

PAGE = Path(__file__).resolve().parents[4] / "docs" / "director.md"


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_page_shows_the_tables(name: str) -> None:
    """UPDATE_GOLDEN=1 writes it anew."""
    text, drawn = PAGE.read_text(), mermaid(DIAGRAMS[name])
    block = re.compile(rf"(<!-- diagram: {name} -->\n```mermaid\n)(.*?)(```)", re.DOTALL)
    found = block.search(text)
    assert found
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(block.sub(lambda match: match[1] + drawn + match[3], text))
    else:
        assert found[2] == drawn
