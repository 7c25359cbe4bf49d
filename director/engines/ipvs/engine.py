"""The engine: hands the director's rules on to kernel IPVS, and reads back what became of them.

The kernel decides and forwards; the core's own tables of connections stay empty. What the
director is asked (rules, counters, connections) is answered with what the kernel says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from selectors import BaseSelector
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, ClassVar

from director.core.connections import ConnectionTable, Tables
from director.core.persistence import Templates
from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.states import Timeouts
from director.core.statistics import PERIOD, Statistics
from director.core.sysctls import Sysctls
from director.engines import interfaces as of_this_machine
from director.engines.engine import EngineError
from director.engines.ipvs import kernel, prerequisites
from director.engines.ipvs.marks import script
from director.engines.ipvs.rules import Service, lines
from director.formats.ipvsadm_words import service_option

if TYPE_CHECKING:
    from director.core.director import Director

_TICKS = int(PERIOD)  # the kernel adds its counters up every 2 s, too
_POLL = 0.05  # seconds
_LATE = 1.5 * PERIOD  # seconds after which counters are taken as they are


class IpvsEngine:
    explains: ClassVar[bool] = False  # the kernel does not say why

    def __init__(self) -> None:
        self._installed: list[Service] = []
        self._statistics: dict[str, Statistics] = {}
        self._sysctls = Sysctls()
        self._timeouts = Timeouts()
        self._marks: tuple[object, ...] = ()
        self._before: dict[Any, str] = {}
        self._ticks = 0

    @classmethod
    def open(cls, interfaces: Sequence[str], clock: Callable[[], float]) -> IpvsEngine:  # noqa: ARG003
        """Raises EngineError."""
        prerequisites.require()
        for interface in interfaces:
            of_this_machine.require(interface)
        return cls()

    def use_redirect_peer(self) -> None:
        raise EngineError("The engine ipvs has no short cut: leave out --short-cut.")

    def tables(self, bits: int, limit: int) -> Tables:  # noqa: ARG002
        """They stay empty."""
        return Tables(ConnectionTable(bits), Templates())

    def start(self, director: Director, selector: BaseSelector) -> None:  # noqa: ARG002
        """Raises EngineError, also for settings that the kernel has not."""
        self._director = director
        if kernel.has_rules():
            raise EngineError("Kernel IPVS has rules on this host already: `ipvsadm -C` removes them.")
        self._refuse_other_timeouts(director.rules.timeouts)
        self._set(kernel.FORWARDING, 1)
        self.install_rules()

    @staticmethod
    def _refuse_other_timeouts(timeouts: Timeouts) -> None:
        usual = Timeouts(established=timeouts.established, fin_wait=timeouts.fin_wait, udp=timeouts.udp)
        if timeouts != usual:
            raise EngineError(
                "Kernel IPVS has only three timeouts to set: established, fin_wait and udp; leave the others."
            )

    def mtu_of(self, address: str) -> int:  # noqa: ARG002
        """Nobody asks: the kernel knows its routes."""
        return 1500

    def is_local(self, address: str) -> bool:
        return of_this_machine.is_local(address)

    def route_to(self, address: str) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    def sync_schedulers(self) -> None:
        """Nothing to do: the kernel's schedulers are its own."""

    def prepare_rules(self, vips: set[str]) -> Iterator[None]:  # noqa: ARG002
        """Nothing to do before: it is the kernel that forwards meanwhile."""
        return iter(())

    def install_rules(self) -> None:
        """Raises EngineError, with the kernel's rules as they were before."""
        rules = self._director.rules
        wanted = [service.as_dict() for service in rules]
        try:
            kernel.restore([*lines(self._installed, wanted), *self._timeout_lines(), *self._zeroed(wanted)])
        except EngineError:
            self._put_back()
            raise
        try:
            self._tune(rules.sysctls)
            if rules.marks != self._marks:
                kernel.load_marks(script(rules.marks))
        except EngineError:
            self._put_back(wanted)
            raise
        self._installed = wanted
        self._timeouts, self._sysctls, self._marks = rules.timeouts, rules.sysctls, rules.marks
        self._statistics = {service_option(service.as_dict()): service.stats for service in rules}

    def _timeout_lines(self) -> Sequence[str]:
        now = self._director.rules.timeouts
        return [] if now == self._timeouts else [_timeout_line(now)]

    def _zeroed(self, wanted: Sequence[Service]) -> list[str]:
        """Services that count anew have new counters."""
        stats = {service_option(service.as_dict()): service.stats for service in self._director.rules}
        keys = (service_option(service) for service in wanted)
        return [
            f"-Z {key}" for key in keys if key in self._statistics and stats[key] is not self._statistics[key]
        ]

    def _put_back(self, carried_out: Sequence[Service] | None = None) -> None:
        """After a refusal the kernel gets what it had.

        `carried_out` are the rules that it has; without them nobody knows how far it has come. Firewall
        marks need nothing: nft takes them whole or not at all.
        """
        known = carried_out is not None
        undone = lines(carried_out or [], self._installed)
        kernel.restore([*([] if known else ["-C"]), *undone, _timeout_line(self._timeouts)])
        with suppress(EngineError):  # the one that was refused has its old value already
            self._tune(self._sysctls, since=self._director.rules.sysctls)

    def _tune(self, sysctls: Sysctls, since: Sysctls | None = None) -> None:
        before, now = (since or self._sysctls).as_dict(), sysctls.as_dict()
        for name, value in now.items():
            if value != before[name]:
                self._set(kernel.SYSCTLS / name, value)

    def _set(self, path: Any, value: int) -> None:
        try:
            self._before.setdefault(path, path.read_text())
            path.write_text(f"{value}\n")
        except OSError as error:
            raise EngineError(f"{path} can't be set to {value}: {error.strerror}.") from None

    # ---- what the kernel has counted ----

    def tick(self, now: float) -> None:  # noqa: ARG002
        self._ticks += 1
        if self._ticks % _TICKS == 0 and self._installed:
            self._count()

    def sync_counters(self, *, wait: bool) -> None:
        """The kernel's counters are up to two seconds late; its connections are not."""
        deadline = monotonic() + _LATE
        while wait and not kernel.is_up_to_date() and monotonic() < deadline:
            sleep(_POLL)
        self._count()

    def _count(self) -> None:
        counted = kernel.counted()
        for service in self._director.rules:
            key = _key(service)
            _take(service, counted.get(key))
            for server in service.servers:
                found = counted.get((*key, str(server.address)))
                _take(server, found)
                if found is not None:
                    server.active, server.inactive = found.load

    def connections(self, now: float) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        return kernel.connections()

    def counters(self) -> Mapping[str, int]:
        return kernel.totals()

    def close(self) -> None:
        """Leave the kernel as it was."""
        if self._installed:
            kernel.restore(["-C"])
            self._installed = []
        if self._marks:
            kernel.load_marks(script(()))
            self._marks = ()
        for path, value in self._before.items():
            path.write_text(value)
        self._before.clear()


def _timeout_line(timeouts: Timeouts) -> str:
    return f"--set {timeouts.established:.0f} {timeouts.fin_wait:.0f} {timeouts.udp:.0f}"


def _key(service: VirtualService) -> tuple[str, str]:
    fields = service.as_dict()
    return (fields["protocol"], str(fields["mark"] or f"{fields['address']}:{fields['port']}"))


def _take(one: VirtualService | RealServer, found: kernel.Counted | None) -> None:
    if found is not None:
        for name, value in found.counters.items():
            setattr(one.stats, name, value)
