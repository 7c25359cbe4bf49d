"""How a real server is picked for a new connection: one file per scheduler, found by its name.

A scheduler file defines a class `Scheduler` with the two methods below; adding the file adds
the scheduler (a file whose name starts with an underscore is shared by several of them). None
picks a server that is not available (weight 0, overloaded, deleted). What a scheduler remembers
belongs to one service; it has no clock, and what it draws comes from a generator of its own.

ipvsadm's flags are keyword arguments of its class, named in `FLAGS`: with sh-port, sh gets
`port=True`. A sysctl such as lblc_expiration is an attribute, here `expiration` of lblc.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from director.core.errors import BadValue, UnknownScheduler
from director.core.sysctls import Sysctls

if TYPE_CHECKING:
    from director.core.packet import Packet
    from director.core.real_server import RealServer

Pick = tuple["RealServer", str]


class Scheduler(Protocol):
    """The scheduler of one service, with whatever it has to remember between two connections."""

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        """The server for the connection that `packet` opens, and why; None if none is available.

        `now` is in seconds that only ever grow.
        """

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Called when servers were added, edited or deleted, once for all commands of a change.

        Whoever needs to know of each of them is a Follower (_follower.py).
        """


class TurnScheduler(ABC):
    """Hears of each step instead of all together; a step is noted before, when nobody's turn is touched."""

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Start with these servers, or go on with them where the steps don't matter."""
        weights = Counter(server.weight for server in servers if server.weight > 0)
        self.follow(self.note(0, 0, weights))

    @staticmethod
    @abstractmethod
    def note(place: int, by: int, weights: Counter[int]) -> Any:
        """What has to be known of a server that came to `place` (`by` is 1), left it (-1), or changed (0).

        `weights` are all above 0, as they are then, each with the number of its servers.
        """

    @abstractmethod
    def follow(self, noted: Any) -> None:
        """That step has been taken."""


_added: dict[str, Callable[[], Scheduler]] = {}


@cache
def names() -> tuple[str, ...]:
    """The names of all schedulers."""
    files = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted({*(name for name in files if not name.startswith("_")), *_added}))


def register(name: str, made: Callable[[], Scheduler]) -> None:
    """One more scheduler, without flags: `made` is called for each service that begins to use it."""
    _added[name] = made
    names.cache_clear()


def make(name: str, flags: Iterable[str] = (), sysctls: Sysctls | None = None) -> Scheduler:
    """A new scheduler for a service. Raises UnknownScheduler; BadValue for a flag that it doesn't know.

    One that was added may raise SchedulerFailed, here and whenever it picks.
    """
    if name not in names():
        raise UnknownScheduler(
            f"Scheduler or persistence engine not found: {name!r}; choose from {', '.join(names())}."
        )
    kind = _added.get(name) or importlib.import_module(f"{__name__}.{name}").Scheduler
    known = {f"{name}-{flag}": flag for flag in getattr(kind, "FLAGS", ())}
    for flag in flags:
        if flag not in known:
            raise BadValue(f"flag of {name}", f"one of {', '.join(known) or 'none at all'}", flag)
    scheduler: Scheduler = kind(**{known[flag]: True for flag in flags})
    apply_sysctls(name, scheduler, sysctls or Sysctls())
    return scheduler


def snapshot(scheduler: Scheduler) -> Callable[[Sequence[RealServer]], None]:
    """What it remembers now; the function that is returned has it remember that again.

    It is called with the servers that the scheduler had. One from somebody's own file is told of these.
    """
    if not type(scheduler).__module__.startswith(f"{__name__}."):
        return scheduler.changed
    before = dict(vars(scheduler))  # `changed` puts new values in the places of old ones

    def remember(_servers: Sequence[RealServer]) -> None:
        vars(scheduler).clear()
        vars(scheduler).update(before)

    return remember


def apply_sysctls(name: str, scheduler: Scheduler, sysctls: Sysctls) -> None:
    """Let a scheduler know those of the sysctls that are its own."""
    for sysctl in own_sysctls(name):
        setattr(scheduler, sysctl.removeprefix(f"{name}_"), getattr(sysctls, sysctl))


@cache
def own_sysctls(name: str) -> tuple[str, ...]:
    """The sysctls of a scheduler: lblc_expiration of lblc."""
    return tuple(sysctl for sysctl in Sysctls().as_dict() if sysctl.startswith(f"{name}_"))
