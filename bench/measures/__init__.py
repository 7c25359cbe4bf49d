"""The measurements between a testbed's client and its server. A file adds its own in a tuple MEASURES.

iperf.py   throughput and small packets; wrk.py   new connections and latency
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from bench.testbed import Testbed

_ORDER = ("throughput", "segments", "packets", "connections", "latency")


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that a measure returns: its title and unit, and whether `more` is better."""

    title: str
    unit: str
    more: bool = True


@dataclass(frozen=True, slots=True)
class Measure:
    """`take` measures on a testbed for a number of seconds and returns its figures by name.

    It may raise LabError.
    """

    name: str
    figures: Mapping[str, Figure]
    take: Callable[[Testbed, float], dict[str, float]]


@cache
def _all() -> dict[str, Measure]:
    """By name: first `_ORDER`, then the others in alphabetical order."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    known = {measure.name: measure for module in modules for measure in module.MEASURES}
    order = [*(name for name in _ORDER if name in known), *sorted(known.keys() - set(_ORDER))]
    return {name: known[name] for name in order}


def names() -> tuple[str, ...]:
    """In the order of the tables."""
    return tuple(_all())


def get(name: str) -> Measure:
    return _all()[name]


def figures() -> dict[str, Figure]:
    """The figures of all measures by name, in the order of the tables."""
    return {name: figure for measure in _all().values() for name, figure in measure.figures.items()}
