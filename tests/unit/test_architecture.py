"""docs/architecture.md: the imports obey its picture of the rooms, and its glossary names what exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
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


def imports() -> Iterator[tuple[str, str, str]]:
    """(importing room, imported room, place) for each import between two rooms."""
    files = [ROOT / "tasks.py", *(file for name in sorted(PACKAGES) for file in (ROOT / name).rglob("*.py"))]
    for file in files:
        here = file.relative_to(ROOT)
        mine = room(".".join(here.with_suffix("").parts)) if file.name != "tasks.py" else "tasks.py"
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                if name.partition(".")[0] in PACKAGES and room(name) != mine:
                    yield mine, room(name), f"{here}:{node.lineno}: {name}"


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
    files = [file for name in sorted(PACKAGES) for file in (ROOT / name).rglob("*.py")]
    words = {word for file in files for word in re.findall(r"\w+", file.read_text())}
    named = {name for row in glossary() for name in re.findall(r"`([^`]*)`", row[1])}
    assert len(glossary()) >= 30
    assert {name for name in named if "/" not in name and not set(name.split(".")) <= words} == set()
    assert {name for name in named if "/" in name and not (ROOT / name).exists()} == set()
