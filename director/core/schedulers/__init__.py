"""How a real server is picked for a new connection: one file per scheduler, found by its name.

A scheduler file defines a class `Scheduler` with the two methods below; adding the file adds the
scheduler. Files whose names start with an underscore are shared by several. A scheduler never picks a
server that is not available (weight 0, overloaded, deleted). It serves one service, has no clock, and draws
random numbers from a generator of its own.

ipvsadm's flags are keyword arguments of the class, named in `FLAGS`: with sh-port, sh gets
`port=True`. A sysctl such as lblc_expiration is an attribute, here `expiration` of lblc.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Protocol

from director.core.errors import BadValue, UnknownScheduler
from director.core.packet import Packet
from director.core.real_server import RealServer
from director.core.sysctls import Sysctls

Pick = tuple[RealServer, str]


class Scheduler(Protocol):
    """The scheduler of one service, with its state between two connections."""

    def pick(self, servers: Sequence[RealServer], packet: Packet, now: float) -> Pick | None:
        """The server for the connection that `packet` opens, and why; None if none is available.

        `now` is in seconds and never goes back.
        """

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Called once per transaction in which servers were added, edited or deleted.

        A scheduler that needs to see each change separately is a TurnScheduler.
        """


class TurnScheduler(ABC):
    """What rr and wrr share: whose turn it is depends on every single change of the servers.

    A change is planned first, while the rules in force stay as they are, and applied with the transaction.
    """

    def changed(self, servers: Sequence[RealServer]) -> None:
        """Start with these servers, or continue with them where single changes don't matter."""
        weights = Counter(server.weight for server in servers if server.weight > 0)
        self.apply_change(self.plan_change(0, 0, weights))

    @staticmethod
    @abstractmethod
    def plan_change(position: int, by: int, weights: Counter[int]) -> Any:
        """The change that follows from a server added at `position` (`by` is 1), deleted (-1) or edited (0).

        `weights` counts the servers of each weight above 0, after the change.
        """

    @staticmethod
    def merge(changes: list[Any], change: Any) -> None:
        """Add a planned change to earlier ones; as all take effect together, some can be merged."""
        changes.append(change)

    @abstractmethod
    def apply_change(self, change: Any) -> None:
        """Carry out a planned change."""


_registered: dict[str, Callable[[], Scheduler]] = {}


@cache
def names() -> tuple[str, ...]:
    """The names of all schedulers."""
    files = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted({*(name for name in files if not name.startswith("_")), *_registered}))


def register(name: str, factory: Callable[[], Scheduler]) -> None:
    """Add a scheduler without flags; `factory` is called for each service that starts to use it."""
    _registered[name] = factory
    names.cache_clear()


def make(name: str, flags: Iterable[str] = (), sysctls: Sysctls | None = None) -> Scheduler:
    """A new scheduler for a service. Raises UnknownScheduler, and BadValue for an unknown flag.

    A registered one may raise SchedulerFailed, here and whenever it picks.
    """
    if name not in names():
        raise UnknownScheduler(
            f"Scheduler or persistence engine not found: {name!r}; choose from {', '.join(names())}."
        )
    factory = _registered.get(name) or importlib.import_module(f"{__name__}.{name}").Scheduler
    known = {f"{name}-{flag}": flag for flag in getattr(factory, "FLAGS", ())}
    for flag in flags:
        if flag not in known:
            raise BadValue(f"flag of {name}", f"one of {', '.join(known) or 'none at all'}", flag)
    scheduler: Scheduler = factory(**{known[flag]: True for flag in flags})
    apply_sysctls(name, scheduler, sysctls or Sysctls())
    return scheduler


def snapshot(scheduler: Scheduler) -> Callable[[Sequence[RealServer]], None]:
    """A function that restores the scheduler's present state; its argument is the old servers.

    A registered scheduler cannot be restored: its `changed` gets the old servers.
    """
    if not type(scheduler).__module__.startswith(f"{__name__}."):
        return scheduler.changed
    before = dict(vars(scheduler))  # `changed` replaces values, it does not change them in place

    def restore(_servers: Sequence[RealServer]) -> None:
        vars(scheduler).clear()
        vars(scheduler).update(before)

    return restore


def apply_sysctls(name: str, scheduler: Scheduler, sysctls: Sysctls) -> None:
    """Pass on the sysctls that belong to the scheduler."""
    for sysctl in own_sysctls(name):
        setattr(scheduler, sysctl.removeprefix(f"{name}_"), getattr(sysctls, sysctl))


@cache
def own_sysctls(name: str) -> tuple[str, ...]:
    """The sysctls of a scheduler: lblc_expiration of lblc."""
    return tuple(sysctl for sysctl in Sysctls().as_dict() if sysctl.startswith(f"{name}_"))
