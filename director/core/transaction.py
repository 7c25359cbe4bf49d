"""A change of the rules while it is being written: the rules in force know nothing of it.

Commands are carried out one after the other, in steps, as slowly as whoever forwards packets wishes. What is
new is made beside the rules; what becomes of services and servers that are there is only noted. A command
that can't be carried out ends the transaction, and nothing has changed. `activate` exchanges what was noted
and what there was, all at once, and `roll_back` exchanges it again.

Each command that changes a service's servers counts for whose turn it is, as in the kernel: a scheduler that
is at work and remembers a turn hears of all of them, in their order, when the draft comes into force.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod
from typing import Any

from director.core import ftp, schedulers
from director.core.commands import (
    AddMark,
    AddServer,
    AddService,
    Clear,
    ClearMarks,
    Command,
    DeleteMark,
    DeleteServer,
    DeleteService,
    EditServer,
    EditService,
    ServiceKey,
    SetSysctl,
    SetTimeouts,
    Zero,
)
from director.core.errors import BadValue, NoSuchServer, NoSuchService, ServerExists, ServiceExists
from director.core.marks import Mark, without
from director.core.packet import TCP, Endpoint
from director.core.real_server import Method, RealServer, RealServers, check_server
from director.core.rules import Rules, networks_of
from director.core.schedulers import Scheduler, TurnScheduler
from director.core.service import Policy, VirtualService, check_key, name_of
from director.core.statistics import Statistics
from director.core.sysctls import Sysctls

FTP_PERSISTENCE = 300  # seconds: of ftp in VS-TUN and VS-DR, where no rule says how long

Steps = Iterator[None]


def exhaust(steps: Steps) -> None:
    """Take all steps, one after the other."""
    deque(steps, maxlen=0)


@dataclass(slots=True)
class _Open:
    """A service as the draft has it; `servers` and `removed` are copies if it is in force already.

    `early`: its scheduler is not at work yet, so that it can be told of each change as it is written.
    """

    policy: Policy
    scheduler: Scheduler
    servers: RealServers
    removed: dict[Endpoint, RealServer]
    early: bool
    steps: list[Any] = field(default_factory=list)  # noted by a TurnScheduler that is at work
    weights: Counter[int] | None = None  # those above 0, once a TurnScheduler has asked for them
    told: bool = False  # whether the servers are others now


class Transaction:
    """Written once, then put in force or left. It goes by the rules in force: one is written at a time."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.vips: set[str] = set()  # what `vips` of the rules will be, once it is written
        self.deletes = False  # whether a server's rule goes
        self._services = dict(rules.by_key)
        self._other_services = False
        self._removed = dict(rules.removed)
        self._open: dict[VirtualService, _Open] = {}
        self._made: dict[RealServer | VirtualService, None] = {}
        self._gone: dict[VirtualService, None] = {}
        self._values = _Values()
        self._leaving: dict[RealServer, None] = {}  # listed, and then no more
        self._coming: dict[RealServer, None] = {}  # the other way round
        self._limited: dict[RealServer, bool] = {}  # and whether its threshold was raised on the way
        self._settings: list[SetSysctl] = []
        self._late: list[tuple[VirtualService, _Open]] = []
        self._memories: list[tuple[VirtualService, Callable[[Sequence[RealServer]], None]]] = []

    # ---- written, put in force, taken back, cleared away ----

    def write(self, commands: Iterable[Command]) -> Steps:
        """Carry out commands, each step a few microseconds' worth of it. Raises LvsError."""
        for command in commands:
            steps = self._carry_out(command)
            if steps is not None:
                yield from steps
            yield
        for service, opened in self._open.items():
            if service not in self._gone and opened.told:
                self._tell_or_note(service, opened)
            yield
        yield from self._find_vips()

    def _find_vips(self) -> Steps:
        """The addresses of services, and of those that are gone while connections wait for their servers."""
        if self._other_services:
            service_addresses = frozenset(key.address.address for key in self._services if not key.mark)
            self._set(self._rules, service_addresses=service_addresses)
            yield
        self.vips = {
            *self._get(self._rules, "service_addresses"),
            *networks_of(self._get(self._rules, "marks")),
        }
        for key, servers in self._removed.items():
            for server in list(servers.values()):  # those of an earlier change may be forgotten meanwhile
                yield
                if server.in_use:
                    if not key.mark:
                        self.vips.add(key.address.address)
                    break

    def _tell_or_note(self, service: VirtualService, opened: _Open) -> None:
        """A scheduler of the end, if it is not at work yet; else it is told when the draft is in force."""
        if not opened.early:
            self._late.append((service, opened))
        elif not isinstance(opened.scheduler, TurnScheduler):
            opened.scheduler.changed(opened.servers)

    def is_last(self, command: DeleteServer) -> bool:
        """Whether it is about to take the last server of a service."""
        service = self._services.get(command.key)
        if service is None:
            return False
        servers: RealServers = self._get(service, "servers")
        return len(servers) == 1 and servers.at(command.server) is not None

    def activate(self) -> None:
        """All at once. What is new costs nothing; of what was there, each value costs some 0.1 µs."""
        rules = self._rules
        for server, raised in self._limited.items():
            full = 0 < self._get(server, "upper") <= server.active + server.inactive
            self._values.note(server, "overloaded", full or (server.overloaded and not raised))
        if self._settings:
            self._values.note(rules, "sysctls", self._set_sysctls())
        self._values.note(rules, "by_key", self._services)
        self._values.note(rules, "removed", self._removed)
        self._exchange(configured=False)
        for service, opened in self._late:
            self._memories.append((service, schedulers.snapshot(service.scheduler)))
            _tell(service, opened.steps)

    def roll_back(self) -> None:
        """All is as it was before `activate`."""
        self._exchange(configured=True)
        while self._memories:
            service, remember = self._memories.pop()
            remember(service.servers)

    def _exchange(self, *, configured: bool) -> None:
        self._values.exchange()
        for server in self._leaving:
            server.configured = configured
        for server in self._coming:
            server.configured = not configured
        self._rules.changed()
        self._tune()

    def finish(self) -> Steps:
        """It is in force for good: deleted servers that nothing refers to need not be kept."""
        for service in self._gone:
            service.servers, service.removed = RealServers(), self._open[service].removed
            yield
        for service in self._services.values():
            if service.removed:
                yield from _forget_idle(service.removed)
        for key, removed in list(self._removed.items()):
            yield from _forget_idle(removed)
            if not removed:
                del self._removed[key]
        yield from self.discard()

    def discard(self) -> Steps:
        """Let go of all that it has made and that is not needed, a little in each step."""
        self._services, self._removed, self._late = {}, {}, []
        yield from self._values.discard()
        held: tuple[dict[Any, Any], ...] = (self._open, self._gone, self._made)
        for some in (*held, self._leaving, self._coming, self._limited):
            while some:
                some.popitem()
                yield

    # ---- values ----

    def _get(self, owner: object, name: str) -> Any:
        """As it will be."""
        return self._values.get(owner, name)

    def _set(self, owner: Any, **values: object) -> None:
        give = setattr if owner in self._made else self._values.note  # nobody else has seen what was made
        for name, value in values.items():
            give(owner, name, value)

    def _opened(self, service: VirtualService) -> _Open:
        """To change its servers, or what it does with them."""
        opened = self._open.get(service)
        if opened is None:
            opened = self._copied(service)
            self._set(service, servers=opened.servers, removed=opened.removed)
        return opened

    def _copied(self, service: VirtualService) -> _Open:
        is_new = service in self._made
        servers = service.servers if is_new else service.servers.copy()
        removed = service.removed if is_new else dict(service.removed)
        opened = _Open(service.policy, service.scheduler, servers, removed, early=is_new)
        self._open[service] = opened
        return opened

    def _tell_scheduler(self, opened: _Open, place: int, by: int, before: int, after: int) -> None:
        """A server came to a place (`by` is 1), left it (-1) or changed (0), and with it its weight."""
        opened.told = True
        if not isinstance(opened.scheduler, TurnScheduler):
            return
        if opened.weights is None:
            weights = (self._get(server, "weight") for server in opened.servers)
            opened.weights = Counter(weight for weight in weights if weight)
        elif before != after:
            _count(opened.weights, before, -1)
            _count(opened.weights, after, 1)
        noted = opened.scheduler.plan_change(place, by, opened.weights)
        if opened.early:
            opened.scheduler.apply_change(noted)
        else:
            opened.steps.append(noted)

    @singledispatchmethod
    def _carry_out(self, command: Command) -> Steps | None:
        """Steps where there is more to do than a few microseconds' worth."""
        raise TypeError(f"{command!r} is no command")

    # ---- services ----

    @_carry_out.register
    def _add_service(self, command: AddService) -> None:
        key = command.key
        check_key(key)
        if key in self._services:
            if command.exist_ok:
                return
            raise ServiceExists(f"Service already exists: {self._services[key]}.")
        policy = self._policy(command)
        scheduler = schedulers.make(policy.scheduler_name, policy.flags, self._rules.sysctls)
        removed = dict(self._removed.pop(key, {}))
        for server in removed.values():
            self._set(server, stats=Statistics())  # what was done for a service that is gone
        service = VirtualService(key, policy, scheduler, removed=removed)
        self._made[service] = None
        self._services[key] = service
        self._other_services = True

    @_carry_out.register
    def _edit_service(self, command: EditService) -> None:
        service = self._service(command.key)
        policy, opened = self._policy(command), self._opened(service)
        before, opened.policy = opened.policy, policy
        self._set(service, policy=policy)
        if (policy.scheduler_name, policy.flags) == (before.scheduler_name, before.flags):
            return
        opened.scheduler = schedulers.make(policy.scheduler_name, policy.flags, self._rules.sysctls)
        opened.steps = []
        opened.early = isinstance(opened.scheduler, TurnScheduler)
        self._set(service, scheduler=opened.scheduler)
        self._tell_scheduler(opened, 0, 0, 0, 0)

    def _policy(self, command: AddService | EditService) -> Policy:
        persistent = command.persistent
        if persistent is None:
            half_seen = self._rules.method is not Method.NAT and command.key.protocol == TCP
            is_ftp = command.key.address.port == ftp.CONTROL_PORT
            persistent = FTP_PERSISTENCE if half_seen and is_ftp else 0
        name = command.scheduler or self._rules.scheduler
        policy = Policy(name, tuple(command.flags), persistent, command.netmask, command.one_packet)
        policy.check(command.key)
        return policy

    @_carry_out.register
    def _delete_service(self, command: DeleteService) -> Steps:
        return self._delete(self._service(command.key))

    def _delete(self, service: VirtualService) -> Steps:
        """Nobody finds it any more: what it has is taken from it when there is time."""
        opened = self._open.get(service) or self._copied(service)
        for server in opened.servers:
            self._unlist(opened, server)
            yield
        self._gone[service] = None
        self._removed[service.key] = opened.removed
        del self._services[service.key]
        self._other_services = True

    @_carry_out.register
    def _clear(self, _command: Clear) -> Steps:
        for service in list(self._services.values()):
            yield from self._delete(service)

    @_carry_out.register
    def _zero(self, command: Zero) -> Steps:
        services = [self._service(command.key)] if command.key else self._services.values()
        for service in services:
            self._set(service, stats=Statistics())
            for server in self._get(service, "servers"):
                self._set(server, stats=Statistics())
                yield

    # ---- real servers ----

    @_carry_out.register
    def _add_server(self, command: AddServer) -> None:
        service, address = self._service_of(command), command.server
        opened = self._opened(service)
        check_server(address, command.weight, command.upper, command.lower)
        if opened.servers.at(address):
            raise ServerExists(f"Destination already exists: real server {address} of {service}.")
        requested = command.method or self._rules.method
        method = self._check_method(service, address, requested)
        server = opened.removed.pop(address, None)
        if server is None:
            server = RealServer(address, command.weight, method, command.upper, command.lower)
            self._made[server] = None
        else:
            self._revive(opened, server)
            self._set(server, method=method)
            self._weigh(server, command.weight)
            self._limit(server, command.upper, command.lower)
        self._set(server, requested_method=requested)
        opened.servers.insert(0, server)
        self._tell_scheduler(opened, 0, 1, 0, command.weight)

    def _revive(self, opened: _Open, server: RealServer) -> None:
        """A deleted server, to which connections may still refer."""
        follows = isinstance(opened.scheduler, TurnScheduler)  # which looks at its weight later
        opened.early = opened.early and follows
        if server in self._made:
            server.configured = True
        elif server in self._leaving:
            del self._leaving[server]
        else:
            self._coming[server] = None

    def _unlist(self, opened: _Open, server: RealServer) -> None:
        """Connections keep referring to the server; a rule that brings it back revives it."""
        self.deletes = True
        opened.removed[server.address] = server
        if server in self._made:
            server.configured = False
        elif server in self._coming:
            del self._coming[server]
        else:
            self._leaving[server] = None

    @_carry_out.register
    def _edit_server(self, command: EditServer) -> None:
        service = self._service_of(command)
        opened = self._opened(service)
        server = self._server(service, opened, command.server)
        before, upper, lower = (self._get(server, name) for name in ("weight", "upper", "lower"))
        weight = before if command.weight is None else command.weight
        upper = upper if command.upper is None else command.upper
        lower = lower if command.lower is None else command.lower
        check_server(server.address, weight, upper, lower)
        requested = command.method or self._get(server, "requested_method")
        self._set(
            server, method=self._check_method(service, server.address, requested), requested_method=requested
        )
        self._weigh(server, weight)
        self._limit(server, upper, lower)
        self._tell_scheduler(opened, 0, 0, before, weight)

    def _weigh(self, server: RealServer, weight: int) -> None:
        self._set(server, weight=weight, last_weight=weight or self._get(server, "last_weight"))

    def _limit(self, server: RealServer, upper: int, lower: int) -> None:
        """New thresholds hold for the connections that are there; a raised one gives another chance."""
        raised = not 0 < upper <= self._get(server, "upper")
        if server not in self._made:
            self._limited[server] = raised or self._limited.get(server, False)
        self._set(server, upper=upper, lower=lower)

    def _check_method(self, service: VirtualService, server: Endpoint, requested: Method) -> Method:
        """What becomes of the method asked for. Raises BadValue."""
        port = service.key.address.port
        if requested is not Method.NAT and not service.key.mark and server.port != port:
            raise BadValue("real server", f"port {port}: only VS-NAT changes it", str(server))
        return Method.LOCAL if self._rules.is_local(server.address) else requested

    @_carry_out.register
    def _delete_server(self, command: DeleteServer) -> None:
        service = self._service_of(command)
        opened = self._opened(service)
        server = self._server(service, opened, command.server)
        place = opened.servers.index(server)
        opened.servers.remove(server)
        self._unlist(opened, server)
        self._tell_scheduler(opened, place, -1, self._get(server, "weight"), 0)

    # ---- settings ----

    @_carry_out.register
    def _set_timeouts(self, command: SetTimeouts) -> None:
        asked = {"established": command.tcp, "fin_wait": command.tcpfin, "udp": command.udp}
        wanted = {name: seconds for name, seconds in asked.items() if seconds != 0}
        self._set(self._rules, timeouts=replace(self._get(self._rules, "timeouts"), **wanted))

    @_carry_out.register
    def _set_sysctl(self, command: SetSysctl) -> None:
        self._rules.sysctls.with_value(command.name, command.value)
        self._settings.append(command)

    def _set_sysctls(self) -> Sysctls:
        """Those of now, which an attack may have moved, but for what was set."""
        sysctls = self._rules.sysctls
        for setting in self._settings:
            sysctls = sysctls.with_value(setting.name, setting.value)
        return sysctls

    def _tune(self) -> None:
        for service in self._rules if self._settings else ():
            schedulers.apply_sysctls(service.policy.scheduler_name, service.scheduler, self._rules.sysctls)

    @_carry_out.register
    def _add_mark(self, command: AddMark) -> None:
        self._set(self._rules, marks=(*self._get(self._rules, "marks"), Mark.of(command)))

    @_carry_out.register
    def _delete_mark(self, command: DeleteMark) -> None:
        self._set(self._rules, marks=without(self._get(self._rules, "marks"), Mark.of(command)))

    @_carry_out.register
    def _clear_marks(self, _command: ClearMarks) -> None:
        self._set(self._rules, marks=())

    # ---- look-ups ----

    def _service(self, key: ServiceKey, missing: str = "No such service") -> VirtualService:
        service = self._services.get(key)
        if service is None:
            raise NoSuchService(f"{missing}: {name_of(key)}.")
        return service

    def _service_of(self, command: AddServer | EditServer | DeleteServer) -> VirtualService:
        """The service whose server a command is about."""
        return self._service(command.key, "Service not defined")

    @staticmethod
    def _server(service: VirtualService, opened: _Open, address: Endpoint) -> RealServer:
        server = opened.servers.at(address)
        if server is None:
            raise NoSuchServer(f"No such destination: real server {address} of {service}.")
        return server


class _Values:
    """Values that things are to have, by their names; exchanged, it has those that the things had."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Any, Any]] = {}

    def get(self, owner: Any, name: str) -> Any:
        noted = self._of.get(name)
        return noted[owner] if noted and owner in noted else getattr(owner, name)

    def note(self, owner: Any, name: str, value: object) -> None:
        self._of.setdefault(name, {})[owner] = value

    def exchange(self) -> None:
        for name, noted in self._of.items():
            for owner, value in noted.items():
                noted[owner] = getattr(owner, name)
                setattr(owner, name, value)

    def discard(self) -> Steps:
        for noted in self._of.values():
            while noted:
                noted.popitem()
                yield


def _tell(service: VirtualService, steps: Sequence[Any]) -> None:
    """A scheduler that is at work, of what has happened to its servers."""
    scheduler = service.scheduler
    if isinstance(scheduler, TurnScheduler):
        for noted in steps:
            scheduler.apply_change(noted)
    else:
        scheduler.changed(service.servers)


def _count(weights: Counter[int], weight: int, by: int) -> None:
    weights[weight] += by if weight else 0
    if not weights[weight]:
        del weights[weight]


def _forget_idle(servers: dict[Endpoint, RealServer]) -> Steps:
    for address, server in list(servers.items()):
        if not server.in_use:
            servers.pop(address, None)
        yield
