"""The exercises there are: each is a package of exercises/, found by its folder.

    README.md     what a student reads: learn, background, task, symptom; may name facts in braces
    hints.md      hints, one below each heading
    exercise.py   EXERCISE
    faults.py     FAULTS, its equivalent faults; none where something has to be made
    solution.py   SOLUTIONS, one for each fault: for teachers only, not in a student's archive

In a student's archive faults.py is not to be read by chance: faults.packed holds the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import zlib
from base64 import b85decode, b85encode
from functools import cache
from pathlib import Path
from types import ModuleType

from classroom.exercise import Exercise, Fault, Solution
from labs.errors import BadRequest, Unable

FOLDER = Path(__file__).resolve().parent.parent / "exercises"
_HEADING = re.compile(r"^## .*\n", re.MULTILINE)


@cache
def names() -> tuple[str, ...]:
    """In the order in which they are meant to be done."""
    return tuple(sorted(path.parent.name for path in FOLDER.glob("*/exercise.py")))


@cache
def load(name: str) -> Exercise:
    """Raises BadRequest where there is no such exercise."""
    require(name)
    exercise: Exercise = importlib.import_module(f"exercises.{name}.exercise").EXERCISE
    return exercise


def require(name: str) -> None:
    """Raises BadRequest where there is no such exercise."""
    if name not in names():
        raise BadRequest(f"There is no exercise {name!r}: choose from {', '.join(names())}.")


@cache
def faults(name: str) -> tuple[Fault, ...]:
    """Its equivalent faults, in their order."""
    folder = FOLDER / name
    if (folder / "faults.py").exists():
        return tuple(importlib.import_module(f"exercises.{name}.faults").FAULTS)
    if (folder / "faults.packed").exists():
        return tuple(_unpacked(name, (folder / "faults.packed").read_text()).FAULTS)
    return ()


def solutions(name: str) -> tuple[Solution, ...]:
    """What teachers have. Raises Unable in a student's archive."""
    if not (FOLDER / name / "solution.py").exists():
        raise Unable(f"The solution of {name} is not here: this is a student's archive of the exercises.")
    found: tuple[Solution, ...] = importlib.import_module(f"exercises.{name}.solution").SOLUTIONS
    return found


def text(name: str) -> str:
    """What a student reads first, in Markdown."""
    return (FOLDER / name / "README.md").read_text()


def hints(name: str) -> list[str]:
    """In the order in which they are opened."""
    file = FOLDER / name / "hints.md"
    if not file.exists():
        return []
    return [part.strip() for part in _HEADING.split(file.read_text())[1:]]


def packed(source: str) -> str:
    """A module's text so that nobody reads it by chance; it is no secret."""
    return b85encode(zlib.compress(source.encode(), 9)).decode()


def _unpacked(name: str, text: str) -> ModuleType:
    """The module again."""
    full = f"exercises.{name}.faults"
    module = ModuleType(full)
    sys.modules[full] = module
    source = zlib.decompress(b85decode(text)).decode()
    exec(compile(source, f"{name}/faults", "exec"), module.__dict__)
    return module
