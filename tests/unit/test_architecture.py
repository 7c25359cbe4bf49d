"""docs/architecture.md: the imports obey its picture of the rooms, and its glossary names what exists."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_IMPORT = re.compile(r"^ *(?:from ([\w.]+) import (\w+|\()|import ([\w.]+))", re.MULTILINE)
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
DIRECTOR = {path.parent.name for path in (ROOT / "director").glob("*/__init__.py")}


def picture() -> list[list[str]]:
    """The lines of the picture, each with its rooms from left to right; a line's title is not one."""
    drawn = re.search(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert drawn, "the picture of the rooms is the first fence of its kind"
    return [re.findall(r"[a-z_]+(?:\.py)?", line[14:]) for line in drawn[1].splitlines() if "▶" in line]


def room(module: str) -> str:
    """The room of a module: its package, or for a module of the director its subpackage."""
    package, _, rest = module.partition(".")
    inside = rest.partition(".")[0]
    return inside if package == "director" and inside in DIRECTOR else package


@cache
def sources() -> dict[Path, str]:
    """The files of the product."""
    files = [ROOT / "tasks.py", *(file for name in sorted(PACKAGES) for file in (ROOT / name).rglob("*.py"))]
    return {file.relative_to(ROOT): file.read_text() for file in files}


@cache
def imports() -> list[tuple[str, str, str]]:
    """(importing room, imported room, place) for each import between two rooms."""
    found = []
    for file, text in sources().items():
        mine = "tasks.py" if file.name == "tasks.py" else room(".".join(file.with_suffix("").parts))
        for line in _IMPORT.finditer(text):
            name = line[3] or f"{line[1]}.{line[2]}"
            if name.partition(".")[0] in PACKAGES and room(name) != mine:
                found.append((mine, room(name), f"{file}: {line[0].strip()}"))
    return found


def test_every_room_is_in_the_picture() -> None:
    assert sorted(name for line in picture() for name in line) == sorted({*PACKAGES, *DIRECTOR, "tasks.py"})


def test_rooms_import_only_to_the_right_and_downwards() -> None:
    place = {name: (row, column) for row, line in enumerate(picture()) for column, name in enumerate(line)}
    assert [where for mine, other, where in imports() if place[mine] >= place[other]] == []


def test_each_arrow_stands_for_an_import() -> None:
    arrows = {pair for line in picture() for pair in pairwise(line)}
    assert arrows - {(mine, other) for mine, other, _ in imports()} == set()


def glossary() -> list[list[str]]:
    """The rows: word, where it is in the source, the word elsewhere."""
    rows = PAGE.partition("## Glossary\n")[2].splitlines()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows if row.startswith("| ")][
        1:
    ]


def test_the_glossary_names_what_is_in_the_source() -> None:
    words = {word for text in sources().values() for word in re.findall(r"\w+", text)}
    named = {name for row in glossary() for name in re.findall(r"`([^`]*)`", row[1])}
    assert len(glossary()) >= 30
    assert {name for name in named if "/" not in name and not set(name.split(".")) <= words} == set()
    assert {name for name in named if "/" in name and not (ROOT / name).exists()} == set()
