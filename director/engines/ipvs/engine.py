"""The engine: hands the director's rules to kernel IPVS, and reads the kernel's counters.

The kernel decides and forwards; the core's own connection table stays empty. Requests for counters
and connections are answered with what the kernel reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from selectors import BaseSelector
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, ClassVar

from director.core.connections import ConnectionTable, Tables
from director.core.family import IPV4, IPV6, Family
from director.core.persistence import Templates
from director.core.real_server import RealServer
from director.core.service import VirtualService
from director.core.states import Timeouts
from director.core.statistics import PERIOD, Statistics
from director.core.sysctls import Sysctls
from director.engines import interfaces as of_this_machine
from director.engines.engine import Daemons, EngineError
from director.engines.ipvs import prerequisites
from director.engines.ipvs.kernel import Counted, KernelIpvs
from director.formats.ipvsadm_words import address_and_port, policy_options, server_options, service_option

if TYPE_CHECKING:
    from director.core.director import Director
    from director.core.rules import LocalServers

Service = dict[str, Any]  # the fields that the director's list has for a service

_TICKS = int(PERIOD)  # the kernel adds its counters up every 2 s, too
_POLL = 0.05  # seconds
_TIME_LIMIT = 1.5 * PERIOD  # seconds to wait for counters that are up to date
_POLICY = ("scheduler", "flags", "persistent", "netmask", "one_packet")
_SETTINGS = ("weight", "method", "upper", "lower")


class IpvsEngine:
    explains: ClassVar[bool] = False  # the kernel does not give reasons
    families: ClassVar[Sequence[Family]] = (IPV4, IPV6)

    def __init__(self, kernel: KernelIpvs) -> None:
        self._kernel = kernel
        self._installed: list[Service] = []
        self._statistics: dict[str, Statistics] = {}
        self._sysctls = Sysctls()
        self._timeouts = Timeouts()
        self._marks: tuple[object, ...] = ()
        self._before: dict[Path, str] = {}
        self._ticks = 0

    @classmethod
    def open(cls, interfaces: Sequence[str], clock: Callable[[], float]) -> IpvsEngine:  # noqa: ARG003
        """Raises EngineError."""
        prerequisites.require()
        for interface in interfaces:
            of_this_machine.require(interface)
        return cls(KernelIpvs())

    def use_redirect_peer(self) -> None:
        raise EngineError("The engine ipvs has no short cut: leave out --short-cut.")

    def tables(self, bits: int, limit: int) -> Tables:  # noqa: ARG002
        """Empty tables: the kernel has the connections."""
        return Tables(ConnectionTable(bits), Templates())

    def start(self, director: Director, selector: BaseSelector) -> None:  # noqa: ARG002
        """Raises EngineError, also for settings that the kernel does not have."""
        self._director = director
        if self._kernel.has_rules():
            raise EngineError("Kernel IPVS has rules on this host already: `ipvsadm -C` removes them.")
        self._refuse_other_timeouts(director.rules.timeouts)
        self._set(self._kernel.forwarding[IPV4], 1)
        self.install_rules()

    @staticmethod
    def _refuse_other_timeouts(timeouts: Timeouts) -> None:
        usual = Timeouts(established=timeouts.established, fin_wait=timeouts.fin_wait, udp=timeouts.udp)
        if timeouts != usual:
            raise EngineError(
                "Kernel IPVS can set the timeouts established, fin_wait and udp only: leave out the others."
            )

    def mtu_of(self, address: str) -> int:  # noqa: ARG002
        """Unused: the kernel knows its routes."""
        return 1500

    def is_local(self, address: str) -> bool:
        return of_this_machine.is_local(address)

    def is_own(self, address: str) -> bool:  # noqa: ARG002
        """Unused: the kernel checks the sources of its packets."""
        return False

    def route_to(self, address: str) -> Mapping[str, str]:  # noqa: ARG002
        return {}

    # ---- rules ----

    def sync_schedulers(self) -> None:
        """Nothing to do: the kernel schedules."""

    def prepare_rules(self, vips: set[str], local: Iterable[LocalServers]) -> Iterator[None]:  # noqa: ARG002
        """Nothing to prepare: the kernel keeps forwarding meanwhile."""
        return iter(())

    def finish_rules(self) -> Iterator[None]:
        return iter(())

    def install_rules(self) -> None:
        """Raises EngineError; the kernel's rules are then as before."""
        rules = self._director.rules
        if any(service.key.family is IPV6 for service in rules):
            # This also ends the use of router advertisements (accept_ra).
            self._set(self._kernel.forwarding[IPV6], 1)
        wanted = [service.as_dict() for service in rules]
        commands = [*changes(self._installed, wanted), *self._timeout_commands(), *self._zeroed(wanted)]
        try:
            self._kernel.restore(commands)
        except EngineError:
            self._put_back()
            raise
        try:
            self._tune(rules.sysctls)
            if rules.marks != self._marks:
                self._kernel.load_marks(rules.marks)
        except EngineError:
            self._put_back(wanted)
            raise
        self._installed = wanted
        self._timeouts, self._sysctls, self._marks = rules.timeouts, rules.sysctls, rules.marks
        self._statistics = {service_option(service.as_dict()): service.stats for service in rules}

    def _timeout_commands(self) -> Sequence[str]:
        now = self._director.rules.timeouts
        return [] if now == self._timeouts else [_timeout_command(now)]

    def _zeroed(self, wanted: Sequence[Service]) -> list[str]:
        """Commands for services whose counters were zeroed: they have new statistics."""
        stats = {service_option(service.as_dict()): service.stats for service in self._director.rules}
        options = (service_option(service) for service in wanted)
        return [
            f"-Z {option}"
            for option in options
            if option in self._statistics and stats[option] is not self._statistics[option]
        ]

    def _put_back(self, installed: Sequence[Service] | None = None) -> None:
        """After a refusal, restore the kernel's earlier rules.

        `installed` are the rules that it has now; None means an unknown part, so all are removed first.
        Firewall marks need nothing: nft loads them whole or not at all.
        """
        undo = changes(installed or [], self._installed)
        clear = ["-C"] if installed is None else []
        self._kernel.restore([*clear, *undo, _timeout_command(self._timeouts)])
        with suppress(EngineError):  # the refused setting still has its old value
            self._tune(self._sysctls, since=self._director.rules.sysctls)

    def _tune(self, sysctls: Sysctls, since: Sysctls | None = None) -> None:
        before, now = _kernels(since or self._sysctls), _kernels(sysctls)
        for name, value in now.items():
            if value != before[name]:
                self._set(self._kernel.sysctls / name, value)

    def _set(self, path: Path, value: int | str) -> None:
        try:
            self._before.setdefault(path, path.read_text())
            path.write_text(f"{value}\n")
        except OSError as error:
            raise EngineError(f"{path} can't be set to {value}: {error.strerror}.") from None

    # ---- the kernel's counters and connections ----

    def sync_daemons(self) -> Daemons:
        from director.engines.ipvs.daemons import KernelDaemons  # only now: most directors are alone

        return KernelDaemons(self._kernel)

    def sync_changed(self) -> None:
        """Nothing to do: the kernel sends, and stands by."""

    def tick(self, now: float) -> None:  # noqa: ARG002
        self._ticks += 1
        if self._ticks % _TICKS == 0 and self._installed:
            self._count()

    def sync_counters(self, *, wait: bool) -> None:
        """The kernel's counters are up to two seconds late: `wait` for them. Its connections are not."""
        deadline = monotonic() + _TIME_LIMIT
        while wait and not self._kernel.is_up_to_date() and monotonic() < deadline:
            sleep(_POLL)
        self._count()

    def _count(self) -> None:
        counted = self._kernel.counted()
        for service in self._director.rules:
            key = _key(service)
            _copy(counted.get(key), service)
            for server in service.servers:
                found = counted.get((*key, str(server.address)))
                _copy(found, server)
                if found is not None:
                    server.active, server.inactive = found.load

    def connections(self, now: float, most: int | None = None) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        return islice(self._kernel.connections(), most)

    def counters(self) -> Mapping[str, int]:
        return self._kernel.totals()

    def close(self) -> None:
        """Leave the kernel as it was: rules, marks, settings. Takes all steps, even if one of them fails."""
        with ExitStack() as stack:
            for path, value in self._before.items():
                stack.callback(path.write_text, value)
            if self._marks:
                stack.callback(self._kernel.load_marks, ())
            if self._installed:
                stack.callback(self._kernel.restore, ["-C"])
            self._before, self._marks, self._installed = {}, (), []


def _key(service: VirtualService) -> tuple[str, str]:
    protocol, _, name = str(service).partition(" ")
    return protocol, name


def _copy(counted: Counted | None, to: VirtualService | RealServer) -> None:
    if counted is not None:
        for name, value in counted.counters.items():
            setattr(to.stats, name, value)


def _kernels(sysctls: Sysctls) -> dict[str, int | str]:
    """The settings by the names of the kernel's files, one of which has two numbers."""
    values: dict[str, int | str] = dict(sysctls.as_dict())
    values["sync_threshold"] = f"{values['sync_threshold']} {values.pop('sync_period')}"
    return values


# ---- from the rules that the kernel has to those it should have, in lines of ipvsadm ----


def changes(before: Sequence[Service], after: Sequence[Service]) -> Iterator[str]:
    """Deletions come first; a service's servers are added in their original order, the oldest first."""
    old = {service_option(service): service for service in before}
    new = {service_option(service): service for service in after}
    for option in old.keys() - new.keys():
        yield f"-D {option}"
    for option, service in new.items():
        earlier = old.get(option)
        if earlier is None:
            yield " ".join(["-A", option, *policy_options(service)])
        elif any(earlier[name] != service[name] for name in _POLICY):
            yield " ".join(["-E", option, *policy_options(service)])
        yield from _server_changes(option, earlier["servers"] if earlier else [], service["servers"])


def _server_changes(option: str, before: Sequence[Service], after: Sequence[Service]) -> Iterator[str]:
    old = {address_and_port(server): server for server in before}
    new = {address_and_port(server): server for server in after}
    for endpoint in old.keys() - new.keys():
        yield f"-d {option} -r {endpoint}"
    for endpoint, server in reversed(new.items()):
        earlier = old.get(endpoint)
        if earlier is None or any(earlier[name] != server[name] for name in _SETTINGS):
            yield " ".join(["-e" if earlier else "-a", option, "-r", endpoint, *server_options(server)])


def _timeout_command(timeouts: Timeouts) -> str:
    return f"--set {timeouts.established:.0f} {timeouts.fin_wait:.0f} {timeouts.udp:.0f}"
