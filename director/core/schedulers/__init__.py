"""How a real server is picked for a new connection: one file per scheduler, found by its name.

A scheduler file defines a class `Scheduler` with the two methods below; adding the file adds
the scheduler (a file whose name starts with an underscore is shared by several of them). None
picks a server that is not available (weight 0, deleted). What a scheduler remembers belongs to
one service; it has no clock, and what it draws comes from a generator of its own. Flags and
other settings are keyword arguments of its class, with the kernel's defaults.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

from director.core.errors import UnknownScheduler

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.service import RealServer

Pick = tuple["RealServer", str]


class Scheduler(Protocol):
    """The scheduler of one service, with whatever it has to remember between two connections."""

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        """The server for the connection that `packet` opens, and why; None if none is available.

        `now` is in seconds that only ever grow.
        """

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Called when servers were added, edited or deleted."""


@cache
def names() -> tuple[str, ...]:
    """The names of all schedulers."""
    files = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in files if not name.startswith("_")))


def make(name: str) -> Scheduler:
    """A new scheduler for a service. Raises UnknownScheduler."""
    if name not in names():
        raise UnknownScheduler(f"scheduler {name!r} is unknown: choose from {', '.join(names())}.")
    scheduler: Scheduler = importlib.import_module(f"{__name__}.{name}").Scheduler()
    return scheduler
