"""The exercises there are: each is a package of exercises/, found by its folder.

    README.md     what a student reads: learn, background, task, symptom; may name facts in braces
    hints.md      hints, one below each heading
    exercise.py   EXERCISE
    faults.py     FAULTS, its equivalent faults; none where something has to be made
    solution.py   SOLUTIONS, one for each fault: for teachers only, not in a student's archive

In a student's archive faults.py is not to be read by chance: faults.packed holds the same.
A name has `-` where its folder, a Python package, has `_`.
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
_FIRST = ("build-nat", "build-tun", "build-dr", "local-node")  # there is nothing to diagnose in these yet


@cache
def names() -> tuple[str, ...]:
    """In the order in which they are meant to be done."""
    found = {path.parent.name.replace("_", "-") for path in FOLDER.glob("*/exercise.py")}
    return tuple(name for name in _FIRST if name in found) + tuple(sorted(found - set(_FIRST)))


def folder_of(name: str) -> Path:
    """The package of an exercise."""
    return FOLDER / _package(name)


def _package(name: str) -> str:
    return name.replace("-", "_")


@cache
def load(name: str) -> Exercise:
    """Raises BadRequest where there is no such exercise."""
    require(name)
    faults(name)  # exercise.py may import from it, where it is packed, too
    exercise: Exercise = importlib.import_module(f"exercises.{_package(name)}.exercise").EXERCISE
    return exercise


def require(name: str) -> None:
    """Raises BadRequest where there is no such exercise."""
    if name not in names():
        raise BadRequest(f"There is no exercise {name!r}: choose from {', '.join(names())}.")


@cache
def faults(name: str) -> tuple[Fault, ...]:
    """Its equivalent faults, in their order."""
    folder = folder_of(name)
    if (folder / "faults.py").exists():
        return tuple(importlib.import_module(f"exercises.{_package(name)}.faults").FAULTS)
    if (folder / "faults.packed").exists():
        return tuple(_unpacked(name, (folder / "faults.packed").read_text()).FAULTS)
    return ()


def solutions(name: str) -> tuple[Solution, ...]:
    """What teachers have. Raises Unable in a student's archive."""
    if not (folder_of(name) / "solution.py").exists():
        raise Unable(f"The solution of {name} is not here: this is a student's archive of the exercises.")
    module = importlib.import_module(f"exercises.{_package(name)}.solution")
    found: tuple[Solution, ...] = module.SOLUTIONS
    return found


def text(name: str) -> str:
    """What a student reads first, in Markdown."""
    return (folder_of(name) / "README.md").read_text("utf-8")


def hints(name: str) -> list[str]:
    """In the order in which they are opened."""
    file = folder_of(name) / "hints.md"
    if not file.exists():
        return []
    return [part.strip() for part in _HEADING.split(file.read_text("utf-8"))[1:]]


def packed(source: str) -> str:
    """A module's text so that nobody reads it by chance; it is no secret."""
    return b85encode(zlib.compress(source.encode(), 9)).decode()


def _unpacked(name: str, text: str) -> ModuleType:
    """The module again."""
    full = f"exercises.{_package(name)}.faults"
    module = ModuleType(full)
    sys.modules[full] = module
    source = zlib.decompress(b85decode(text)).decode()
    exec(compile(source, f"{name}/faults", "exec"), module.__dict__)
    return module
