"""What can be wrong with a lab: one file for each root cause, found by its place in this folder.

    TITLE          what is wrong, in a few words, as the diagnosis of an exercise says it
    find(state)    each place where it is wrong

The file's name is the cause's word. A cause says what it has read, with values (`evidence`), why that
breaks the method at hand (`why`), and what to type on its host (`repair`). It is about what is, and
not about symptoms: two causes may be found, but never one for what another has brought about.
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
    """A root cause: where, what shows it, why it breaks this method, and how it is mended.

    `repair`: commands for `host`, one a line.
    """

    cause: str
    host: str
    evidence: str
    why: str
    repair: str


@cache
def titles() -> dict[str, str]:
    """Every cause's word, and what it means."""
    return {name: _module(name).TITLE for name in _names()}


def diagnose(state: LabState) -> list[Cause]:
    """All that is wrong, in the order of the lab's hosts."""
    places = [host.name for host in state.hosts]
    found = [cause for name in _names() for cause in _find(name)(state)]
    return sorted(found, key=lambda one: places.index(one.host))


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def _find(name: str) -> Find:
    find: Find = _module(name).find
    return find


def _module(name: str):  # type: ignore[no-untyped-def]  # whatever file it is
    return importlib.import_module(f"{__name__}.{name}")
