"""Files of a package, each of which adds something of its own: contenders, measures."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable


def names(path: Iterable[str], order: tuple[str, ...]) -> tuple[str, ...]:
    """The files of a package in that order; those that it does not name come last."""
    found = {module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_")}
    return (*(name for name in order if name in found), *sorted(found - set(order)))
