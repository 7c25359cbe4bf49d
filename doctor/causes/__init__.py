"""The root causes of a broken lab: one file in this folder for each.

    TITLE          what is wrong, in a few words, as in the diagnosis of an exercise
    find(state)    yields a Cause for each host or rule that is wrong
    EXPLAINS       words of causes that follow from it on the same host, if any
    VERSIONS       the IP versions in which it exists, if not both

The file's name is the cause's word. A cause is a fact, not a symptom. Several causes may be found, but causes
that another one explains are left out.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from doctor.state import LabState

Find = Callable[[LabState], Iterable["Cause"]]


@dataclass(frozen=True, slots=True)
class Cause:
    """A root cause on `host`: the values that show it, why it breaks this method, and its repair.

    `repair` contains commands for that host, one per line. `affects` are other hosts at which a path differs
    because of it.
    """

    cause: str
    host: str
    evidence: str
    why: str
    repair: str
    affects: tuple[str, ...] = ()


@cache
def titles() -> dict[str, str]:
    """Every cause's word and title."""
    return {name: _module(name).TITLE for name in _names()}


def diagnose(state: LabState) -> list[Cause]:
    """All causes found, in the order of the lab's hosts."""
    places = [host.name for host in state.hosts]
    names = (name for name in _names() if state.version in getattr(_module(name), "VERSIONS", (4, 6)))
    found = [cause for name in names for cause in _find(name)(state)]
    explained = {(word, cause.host) for cause in found for word in _explained_by(cause.cause)}
    left = [cause for cause in found if (cause.cause, cause.host) not in explained]
    return sorted(left, key=lambda cause: places.index(cause.host))


def _explained_by(name: str) -> tuple[str, ...]:
    return tuple(getattr(_module(name), "EXPLAINS", ()))


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def _find(name: str) -> Find:
    find: Find = _module(name).find
    return find


def _module(name: str):  # type: ignore[no-untyped-def]  # any file of this folder
    return importlib.import_module(f"{__name__}.{name}")
