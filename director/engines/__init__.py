"""Data planes: each takes the core's decisions and applies them in its own way.

An engine is a package here with a class `Engine` (see engine.py); adding the package adds the
engine. Importing this module imports none of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from director.engines.engine import Engine


@cache
def names() -> tuple[str, ...]:
    """The names of all engines."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))


def load(name: str) -> type[Engine]:
    """The class of an engine; importing it may take a while."""
    engine: type[Engine] = importlib.import_module(f"{__name__}.{name}").Engine
    return engine
