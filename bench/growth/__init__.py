"""How cost grows, in VS-DR: with connections, real servers, virtual services. One file for each.

A file of this package has

    AXIS                what there is more and more of
    POINTS              how many
    FIGURES             what is measured at each point: {name: Figure}
    lines()             what its rules need at one point besides those of the point before
    measure()           takes the figures there
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from bench import _files

ORDER = ("connections", "servers", "services")
CONTENDERS = ("direct", "ipvs", "ebpf")


@cache
def names() -> tuple[str, ...]:
    return _files.names(__path__, ORDER)


def load(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
