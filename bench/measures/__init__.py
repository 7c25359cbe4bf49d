"""What is measured between a testbed's client and its server: one file per measure.

A measure's file has

    FIGURES             its figures: {name: Figure}
    measure()           takes them on a testbed; a figure that can't be had there is left out
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from bench import _files

ORDER = ("throughput", "segments", "packets", "connections", "latency")


@dataclass(frozen=True, slots=True)
class Figure:
    """`unit` of the numbers; whether `more` is better."""

    title: str
    unit: str
    more: bool = True


@cache
def names() -> tuple[str, ...]:
    """In the order of the table."""
    return _files.names(__path__, ORDER)


def load(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def figures() -> dict[str, Figure]:
    """All of them by name, in the order of the table."""
    return {name: figure for each in names() for name, figure in load(each).FIGURES.items()}
