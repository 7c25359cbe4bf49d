"""Find and load the exercises: two files of exercises/ each, found by their names.

    NAME.md   the title, the student's text, and under `## Hints` the hints; facts are in braces
    NAME.py   EXERCISE; FAULTS, its equivalent faults, unless the student builds something; SOLUTIONS

Comment lines divide NAME.py into sections:

    # ---- Faults ----      in a student's archive, packed so that they are not read by accident
    # ---- Solutions ----   not in a student's archive; one for each fault
    # ---- Exercise ----    ends one of the others, if it comes first

A `-` in a name is a `_` in its files' names.
"""

from __future__ import annotations

import importlib
import re
import zlib
from base64 import b85decode, b85encode
from functools import cache
from pathlib import Path
from typing import Any

from classroom.model import Exercise, Fault, Solution
from labs.errors import BadRequest, Unable

FOLDER = Path(__file__).resolve().parent.parent / "exercises"
_FIRST = ("build-nat", "build-tun", "build-dr", "local-node")  # building comes before diagnosing
_HINTS = "\n## Hints\n"
_HINT = re.compile(r"^### .*\n", re.MULTILINE)
_TITLE = re.compile(r"# (?P<name>[a-z0-9-]+): (?P<title>.+)")


@cache
def names() -> tuple[str, ...]:
    """All exercises, in the recommended order."""
    texts = [path for path in FOLDER.glob("*.md") if path.with_suffix(".py").exists()]
    found = {path.stem.replace("_", "-") for path in texts}
    return tuple(name for name in _FIRST if name in found) + tuple(sorted(found - set(_FIRST)))


def require(name: str) -> None:
    """Raises BadRequest if there is no such exercise."""
    if name not in names():
        raise BadRequest(f"There is no exercise {name!r}: choose from {', '.join(names())}.")


def load(name: str) -> Exercise:
    """The exercise. Raises BadRequest if there is none of that name."""
    exercise: Exercise = _module(name).EXERCISE
    return exercise


def faults(name: str) -> tuple[Fault, ...]:
    """The equivalent faults; empty if the student builds something. Raises BadRequest."""
    return tuple(getattr(_module(name), "FAULTS", ()))


def solutions(name: str) -> tuple[Solution, ...]:
    """The teacher's solutions, one for each fault. Raises BadRequest, or Unable in a student's archive."""
    found: tuple[Solution, ...] | None = getattr(_module(name), "SOLUTIONS", None)
    if found is None:
        raise Unable(f"A student's archive has no solution of {name}: use the teacher's checkout.")
    return found


def title(name: str) -> str:
    """The exercise's title. Raises ValueError if the text does not begin with `# NAME: TITLE`."""
    first = _text(name).partition("\n")[0]
    found = _TITLE.fullmatch(first)
    if not found or found["name"] != name:
        raise ValueError(f"exercises: the text of {name} begins with {first!r} instead of '# {name}: TITLE'")
    return found["title"]


def text(name: str) -> str:
    """The student's text, in Markdown, without the hints."""
    return _text(name).partition(_HINTS)[0].strip() + "\n"


def hints(name: str) -> list[str]:
    """The hints in the order in which they are opened, without their headings."""
    return [part.strip() for part in _HINT.split(_text(name).partition(_HINTS)[2])[1:]]


def files_of(name: str) -> tuple[Path, Path]:
    """The exercise's Python and Markdown files."""
    stem = name.replace("-", "_")
    return FOLDER / f"{stem}.py", FOLDER / f"{stem}.md"


def _module(name: str) -> Any:
    require(name)
    return importlib.import_module(f"exercises.{files_of(name)[0].stem}")


def _text(name: str) -> str:
    require(name)
    return files_of(name)[1].read_text("utf-8")


def packed(source: str) -> str:
    """Python source encoded so that it is not read by accident; it is not secret."""
    return b85encode(zlib.compress(source.encode(), 9)).decode()


def unpacked(text: str) -> str:
    """The original source, which a student's NAME.py executes."""
    return zlib.decompress(b85decode(text)).decode()
