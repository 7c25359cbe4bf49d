"""What is measured between a site's client and its server: one file per measure.

A measure's file has

    FIGURES             its figures: {name: Figure}
    measure()           takes them on a site; a figure that can't be had there is left out
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import ModuleType

ORDER = ("throughput", "packets", "connections", "latency")


@dataclass(frozen=True, slots=True)
class Figure:
    """`unit` of the numbers; whether `more` is better."""

    title: str
    unit: str
    more: bool = True


@cache
def names() -> tuple[str, ...]:
    """In the order of the table."""
    found = {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")}
    return (*(name for name in ORDER if name in found), *sorted(found - set(ORDER)))


def load(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def figures() -> dict[str, Figure]:
    """All of them by name, in the order of the table."""
    return {name: figure for each in names() for name, figure in load(each).FIGURES.items()}
