"""Data planes: each carries out the core's decisions in its own way.

An engine is a package here with a class `Engine` (see engine.py); adding the package adds the
engine. Importing this module imports none of them. If some machines can't run an engine, its
package also has a module `prerequisites` with a function `require`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from director.engines.engine import Engine


@cache
def names() -> tuple[str, ...]:
    """The names of all engines."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg))


def require(name: str) -> None:
    """Raises EngineError if this machine can't run the engine; quick, and changes nothing."""
    if (Path(__path__[0]) / name / "prerequisites.py").exists():  # find_spec would import the engine
        importlib.import_module(f"{__name__}.{name}.prerequisites").require()


def load(name: str) -> type[Engine]:
    """The class of an engine; importing it may take a while."""
    engine: type[Engine] = importlib.import_module(f"{__name__}.{name}").Engine
    return engine
