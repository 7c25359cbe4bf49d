"""A change of the rules while it is being prepared: the rules in force are not touched.

`write` carries out commands one by one, in steps, so that the caller can forward packets in between. New
services and servers are created beside the rules; changes of existing ones are only noted. A command that
fails ends the transaction, and nothing has changed. `activate` swaps in what was noted, all at once, and
`roll_back` swaps it out again. After `activate`, `finish` cleans up; after a failure, `discard` does.

As in the kernel, each command that changes a service's servers may change whose turn it is: a scheduler in
force that is a TurnScheduler gets all changes, in their order, when the transaction is activated.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod
from itertools import chain, repeat
from operator import attrgetter
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
from director.core.family import family_of
from director.core.marks import Mark, without
from director.core.packet import TCP, Endpoint
from director.core.real_server import Method, RealServer, RealServers, check_server
from director.core.rules import LocalServers, Rules, local_servers, networks_of
from director.core.schedulers import Scheduler, TurnScheduler
from director.core.service import Policy, VirtualService, check_key, name_of
from director.core.statistics import Statistics
from director.core.sysctls import Sysctls

FTP_PERSISTENCE = 300  # seconds: the default of ftp services in VS-TUN and VS-DR

Steps = Iterator[None]


def exhaust(steps: Iterator[object]) -> None:
    """Take all steps, one after the other."""
    deque(steps, maxlen=0)


@dataclass(slots=True)
class _Draft:
    """A service as the transaction will leave it; `servers` and `removed` are copies if it is in force.

    `new_scheduler`: the scheduler is not in force yet, so each change can be applied to it at once.
    """

    policy: Policy
    scheduler: Scheduler
    servers: RealServers
    removed: dict[Endpoint, RealServer]
    new_scheduler: bool
    changes: list[Any] = field(default_factory=list)  # planned for a TurnScheduler in force
    weights: Counter[int] | None = None  # above 0, once a TurnScheduler has needed them
    changed: bool = False  # whether the scheduler must learn of it


class Transaction:
    """Written once, then activated or discarded. It starts from the rules in force: one is open at a time."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.vips: set[str] = set()  # what the rules' `vips` will be, once it is written
        self.deletes = False  # whether a server's rule is deleted
        self._services = dict(rules.by_key)
        self._services_changed = False
        self._removed = dict(rules.removed)
        self._local: dict[VirtualService, None] | None = None  # a copy of the rules', once it changes
        self._drafts: dict[VirtualService, _Draft] = {}
        self._created: dict[RealServer | VirtualService, None] = {}
        self._deleted: dict[VirtualService, None] = {}
        self._pending = _PendingValues()
        self._unconfigured: dict[RealServer, None] = {}  # servers in force whose rules are deleted
        self._reconfigured: dict[RealServer, None] = {}  # deleted ones that are added again
        self._limited: dict[RealServer, bool] = {}  # new thresholds; True if the upper one was ever raised
        self._full: dict[RealServer, None] = {}  # those with that many connections when it was written
        self._sysctls: list[SetSysctl] = []
        self._to_notify: list[tuple[VirtualService, _Draft]] = []
        self._snapshots: list[tuple[VirtualService, Callable[[Sequence[RealServer]], None]]] = []

    # ---- write, activate, roll back, clean up ----

    def write(self, commands: Iterable[Command]) -> Steps:
        """Carry out commands, a few microseconds' worth per step. Raises LvsError."""
        for command in commands:
            steps = self._execute(command)
            if steps is not None:
                yield from steps
            yield
        for service, draft in self._drafts.items():
            if service not in self._deleted and draft.changed:
                if not draft.new_scheduler:
                    self._to_notify.append((service, draft))
                elif not isinstance(draft.scheduler, TurnScheduler):
                    draft.scheduler.changed(draft.servers)
            yield
        yield from self._collect_vips()

    def _collect_vips(self) -> Steps:
        """The addresses of services, and of deleted ones while connections wait for their servers."""
        if self._services_changed:
            addresses = set()
            for key in self._services:
                if not key.mark:
                    addresses.add(key.address.address)
                yield
            self._set(self._rules, service_addresses=frozenset(addresses))
            yield
        marks = self._get(self._rules, "marks")
        self.vips = {*self._get(self._rules, "service_addresses"), *networks_of(marks)}
        for key, servers in self._removed.items():
            for server in list(servers.values()):  # a finishing transaction may remove some meanwhile
                yield
                if server.in_use:
                    if not key.mark:
                        self.vips.add(key.address.address)
                    break

    def local_servers(self) -> Iterator[LocalServers]:
        """What the rules' `local_servers` will be, once it is written."""
        return local_servers(self._get(self._rules, "local"), self._get)

    def is_last(self, command: DeleteServer) -> bool:
        """Whether the command would delete the last server of its service."""
        service = self._services.get(command.key)
        if service is None:
            return False
        servers: RealServers = self._get(service, "servers")
        return len(servers) == 1 and servers.at(command.server) is not None

    def activate(self) -> None:
        """Put the new rules in force, all at once.

        New services and servers cost nothing; each changed value of an existing one costs about 0.03 µs, and
        0.1 µs more if a new threshold may end or begin an overload, as an engine must know that at once.
        """
        rules = self._rules
        uppers = self._pending.noted("upper")
        for server in {*self._full, *filter(attrgetter("overloaded"), self._limited)}:
            full = 0 < uppers.get(server, server.upper) <= server.active + server.inactive
            overloaded = full or (server.overloaded and not self._limited[server])
            if overloaded is not server.overloaded:
                self._pending.note(server, "overloaded", overloaded)
        if self._sysctls:
            self._pending.note(rules, "sysctls", self._new_sysctls())
        self._pending.note(rules, "by_key", self._services)
        self._pending.note(rules, "removed", self._removed)
        self._swap(configured=False)
        for service, draft in self._to_notify:
            self._snapshots.append((service, schedulers.snapshot(service.scheduler)))
            _notify(service, draft.changes)

    def roll_back(self) -> None:
        """Restore everything as it was before `activate`."""
        self._swap(configured=True)
        while self._snapshots:
            service, restore = self._snapshots.pop()
            restore(service.servers)

    def _swap(self, *, configured: bool) -> None:
        self._pending.swap()
        exhaust(map(setattr, self._unconfigured, repeat("configured"), repeat(configured)))
        exhaust(map(setattr, self._reconfigured, repeat("configured"), repeat(not configured)))
        self._rules.nat_servers.changed()
        for service in self._rules if self._sysctls else ():
            schedulers.apply_sysctls(service.policy.scheduler_name, service.scheduler, self._rules.sysctls)

    def finish(self) -> Steps:
        """Make it final: forget deleted servers that are not in use."""
        for service in self._deleted:
            service.servers, service.removed = RealServers(), self._drafts[service].removed
            yield
        for service in self._services.values():
            if service.removed:
                yield from _forget_idle(service.removed)
        for key, removed in list(self._removed.items()):
            yield from _forget_idle(removed)
            if not removed:
                del self._removed[key]
        yield from self._rules.nat_servers.refresh()
        yield from self.discard()

    def discard(self) -> Steps:
        """Free what it holds, a little in each step."""
        self._services, self._removed, self._to_notify = {}, {}, []
        yield from self._pending.discard()
        held: tuple[dict[Any, Any], ...] = (self._drafts, self._deleted, self._created)
        for values in (*held, self._unconfigured, self._reconfigured, self._limited, self._full):
            while values:
                values.popitem()
                yield

    # ---- values, and drafts of services ----

    def _get(self, owner: object, name: str) -> Any:
        """An attribute as it will be."""
        return self._pending.get(owner, name)

    def _set(self, owner: Any, **values: object) -> None:
        assign = setattr if owner in self._created else self._pending.note  # nobody else sees new objects yet
        for name, value in values.items():
            assign(owner, name, value)

    def _draft_of(self, service: VirtualService) -> _Draft:
        """The draft in which a service's servers or scheduler can be changed."""
        draft = self._drafts.get(service)
        if draft is None:
            draft = self._new_draft(service)
            self._set(service, servers=draft.servers, removed=draft.removed)
        return draft

    def _new_draft(self, service: VirtualService) -> _Draft:
        is_new = service in self._created
        servers = service.servers if is_new else service.servers.copy()
        removed = service.removed if is_new else dict(service.removed)
        draft = _Draft(service.policy, service.scheduler, servers, removed, new_scheduler=is_new)
        self._drafts[service] = draft
        return draft

    def _change_turns(self, draft: _Draft, position: int, by: int, before: int, after: int) -> None:
        """A server was added at `position` (`by` is 1), deleted (-1) or edited (0), with its weight."""
        draft.changed = True
        if not isinstance(draft.scheduler, TurnScheduler):
            return
        if draft.weights is None:
            weights = (self._get(server, "weight") for server in draft.servers)
            draft.weights = Counter(weight for weight in weights if weight)
        elif before != after:
            _count(draft.weights, before, -1)
            _count(draft.weights, after, 1)
        change = draft.scheduler.plan_change(position, by, draft.weights)
        if draft.new_scheduler:
            draft.scheduler.apply_change(change)
        else:
            draft.scheduler.merge(draft.changes, change)

    @singledispatchmethod
    def _execute(self, command: Command) -> Steps | None:
        """Carry out a command; returns steps if it takes more than a few microseconds."""
        raise TypeError(f"{command!r} is not a command")

    # ---- services ----

    @_execute.register
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
            self._set(server, stats=Statistics())  # the counters belong to the deleted service
        service = VirtualService(key, policy, scheduler, removed=removed)
        self._created[service] = None
        self._services[key] = service
        self._services_changed = True

    @_execute.register
    def _edit_service(self, command: EditService) -> None:
        service = self._service(command.key)
        policy, draft = self._policy(command), self._draft_of(service)
        before, draft.policy = draft.policy, policy
        self._set(service, policy=policy)
        if (policy.scheduler_name, policy.flags) == (before.scheduler_name, before.flags):
            return
        draft.scheduler = schedulers.make(policy.scheduler_name, policy.flags, self._rules.sysctls)
        draft.changes = []
        draft.new_scheduler = isinstance(draft.scheduler, TurnScheduler)
        self._set(service, scheduler=draft.scheduler)
        self._change_turns(draft, 0, 0, 0, 0)

    def _policy(self, command: AddService | EditService) -> Policy:
        persistent = command.persistent
        if persistent is None:
            one_way = self._rules.method is not Method.NAT and command.key.protocol == TCP
            is_ftp = command.key.address.port == ftp.CONTROL_PORT
            persistent = FTP_PERSISTENCE if one_way and is_ftp else 0
        name = self._rules.scheduler if command.scheduler is None else command.scheduler
        netmask = command.key.family.whole if command.netmask is None else command.netmask
        policy = Policy(name, tuple(command.flags), persistent, netmask, command.one_packet)
        policy.check(command.key)
        return policy

    @_execute.register
    def _delete_service(self, command: DeleteService) -> Steps:
        return self._delete(self._service(command.key))

    def _delete(self, service: VirtualService) -> Steps:
        """Take it out of the rules to come; `finish` frees what it holds."""
        draft = self._drafts.get(service) or self._new_draft(service)
        for server in draft.servers:
            self._unconfigure(draft, server)
            yield
        self._deleted[service] = None
        if service in self._get(self._rules, "local"):
            del self._draft_of_local()[service]
        self._removed[service.key] = draft.removed
        del self._services[service.key]
        self._services_changed = True

    @_execute.register
    def _clear(self, _command: Clear) -> Steps:
        for service in list(self._services.values()):
            yield from self._delete(service)

    @_execute.register
    def _zero(self, command: Zero) -> Steps:
        services = [self._service(command.key)] if command.key else self._services.values()
        for service in services:
            self._set(service, stats=Statistics())
            for server in self._get(service, "servers"):
                self._set(server, stats=Statistics())
                yield

    # ---- real servers ----

    @_execute.register
    def _add_server(self, command: AddServer) -> None:
        service, address = self._service_of(command), command.server
        draft = self._draft_of(service)
        check_server(address, command.weight, command.upper, command.lower)
        if draft.servers.at(address):
            raise ServerExists(f"Destination already exists: real server {address} of {service}.")
        requested = command.method or self._rules.method
        method = self._effective_method(service, address, requested)
        server = draft.removed.pop(address, None)
        if server is None:
            server = RealServer(address, command.weight, method, command.upper, command.lower)
            self._created[server] = None
        else:
            self._reconfigure(draft, server)
            self._set(server, method=method)
            self._set_weight(server, command.weight)
            self._set_thresholds(server, command.upper, command.lower)
        self._set(server, requested_method=requested)
        draft.servers.insert(0, server)
        self._change_turns(draft, 0, 1, 0, command.weight)

    def _reconfigure(self, draft: _Draft, server: RealServer) -> None:
        """A deleted server, to which connections may still refer, is added again."""
        # Other schedulers read the server's weight, which is only pending until activation.
        draft.new_scheduler = draft.new_scheduler and isinstance(draft.scheduler, TurnScheduler)
        if server in self._created:
            server.configured = True
        elif server in self._unconfigured:
            del self._unconfigured[server]
        else:
            self._reconfigured[server] = None

    def _unconfigure(self, draft: _Draft, server: RealServer) -> None:
        """A server's rule is deleted; connections keep referring to it, and adding it again revives it."""
        self.deletes = True
        draft.removed[server.address] = server
        if server in self._created:
            server.configured = False
        elif server in self._reconfigured:
            del self._reconfigured[server]
        else:
            self._unconfigured[server] = None

    @_execute.register
    def _edit_server(self, command: EditServer) -> None:
        service = self._service_of(command)
        draft = self._draft_of(service)
        server = self._server(service, draft, command.server)
        before, upper, lower = (self._get(server, name) for name in ("weight", "upper", "lower"))
        weight = before if command.weight is None else command.weight
        upper = upper if command.upper is None else command.upper
        lower = lower if command.lower is None else command.lower
        check_server(server.address, weight, upper, lower)
        requested = command.method or self._get(server, "requested_method")
        method = self._effective_method(service, server.address, requested)
        self._set(server, method=method, requested_method=requested)
        self._set_weight(server, weight)
        self._set_thresholds(server, upper, lower)
        self._change_turns(draft, 0, 0, before, weight)

    def _set_weight(self, server: RealServer, weight: int) -> None:
        if not weight:
            drained = self._get(server, "weight") or self._get(server, "weight_before")
            self._set(server, weight_before=drained)
        self._set(server, weight=weight)

    def _set_thresholds(self, server: RealServer, upper: int, lower: int) -> None:
        """Thresholds apply to existing connections, too; raising the upper one ends an overload."""
        if (upper, lower) == (self._get(server, "upper"), self._get(server, "lower")):
            return
        raised = not 0 < upper <= self._get(server, "upper")
        if server not in self._created:
            self._limited[server] = raised or self._limited.get(server, False)
            if 0 < upper <= server.active + server.inactive:
                self._full[server] = None
        self._set(server, upper=upper, lower=lower)

    def _effective_method(self, service: VirtualService, server: Endpoint, requested: Method) -> Method:
        """The requested method, or LOCAL for the local node. Raises BadValue.

        The rules are the kernel's: ip_vs_genl_set_cmd lets only a tunnel carry one family over the other, and
        synchronisation messages have no room for a connection of both.
        """
        family = service.key.family
        if family_of(server.address) is not family:
            if requested is not Method.TUN:
                raise BadValue("real server", f"an {family} address, like {service}, or VS-TUN", str(server))
            if self._rules.synchronised:
                expected = f"an {family} address, like {service}, while a synchronisation daemon runs"
                raise BadValue("real server", expected, str(server))
        port = service.key.address.port
        if requested is not Method.NAT and not service.key.mark and server.port != port:
            raise BadValue("real server", f"port {port}: only VS-NAT changes it", str(server))
        if not self._rules.is_local(server.address):
            return requested
        self._draft_of_local()[service] = None
        return Method.LOCAL

    def _draft_of_local(self) -> dict[VirtualService, None]:
        """The services with the local node as a server, as they will be."""
        if self._local is None:
            self._local = dict(self._rules.local)
            self._set(self._rules, local=self._local)
        return self._local

    @_execute.register
    def _delete_server(self, command: DeleteServer) -> None:
        service = self._service_of(command)
        draft = self._draft_of(service)
        server = self._server(service, draft, command.server)
        position = draft.servers.index(server)
        draft.servers.remove(server)
        self._unconfigure(draft, server)
        self._change_turns(draft, position, -1, self._get(server, "weight"), 0)

    # ---- settings ----

    @_execute.register
    def _set_timeouts(self, command: SetTimeouts) -> None:
        timeouts = {"established": command.tcp, "fin_wait": command.tcpfin, "udp": command.udp}
        given = {name: seconds for name, seconds in timeouts.items() if seconds != 0}
        self._set(self._rules, timeouts=replace(self._get(self._rules, "timeouts"), **given))

    @_execute.register
    def _set_sysctl(self, command: SetSysctl) -> None:
        self._rules.sysctls.with_value(command.name, command.value)
        self._sysctls.append(command)

    def _new_sysctls(self) -> Sysctls:
        """The current ones, which an overload may have changed meanwhile, with those that were set."""
        sysctls = self._rules.sysctls
        for setting in self._sysctls:
            sysctls = sysctls.with_value(setting.name, setting.value)
        return sysctls

    @_execute.register
    def _add_mark(self, command: AddMark) -> None:
        self._set(self._rules, marks=(*self._get(self._rules, "marks"), Mark.of(command)))

    @_execute.register
    def _delete_mark(self, command: DeleteMark) -> None:
        self._set(self._rules, marks=without(self._get(self._rules, "marks"), Mark.of(command)))

    @_execute.register
    def _clear_marks(self, _command: ClearMarks) -> None:
        self._set(self._rules, marks=())

    # ---- look-ups ----

    def _service(self, key: ServiceKey, missing: str = "No such service") -> VirtualService:
        service = self._services.get(key)
        if service is None:
            raise NoSuchService(f"{missing}: {name_of(key)}.")
        return service

    def _service_of(self, command: AddServer | EditServer | DeleteServer) -> VirtualService:
        """The service of a command about one of its servers."""
        return self._service(command.key, "Service not defined")

    @staticmethod
    def _server(service: VirtualService, draft: _Draft, address: Endpoint) -> RealServer:
        server = draft.servers.at(address)
        if server is None:
            raise NoSuchServer(f"No such destination: real server {address} of {service}.")
        return server


class _PendingValues:
    """New values of attributes, by name and owner; after a swap, the old ones.

    While a transaction is open, nobody else changes the attributes: so their values can be noted beforehand,
    and the interpreter's own loops do the swap.
    """

    def __init__(self) -> None:
        self._by_name: dict[
            str, tuple[dict[Any, Any], dict[Any, Any]]
        ] = {}  # the new values, and those in force

    def get(self, owner: Any, name: str) -> Any:
        noted = self._by_name.get(name)
        return noted[0][owner] if noted and owner in noted[0] else getattr(owner, name)

    def noted(self, name: str) -> Mapping[Any, Any]:
        """The new values of an attribute, by owner."""
        return self._by_name.get(name, ({}, {}))[0]

    def note(self, owner: Any, name: str, value: object) -> None:
        others, in_force = self._by_name.setdefault(name, ({}, {}))
        if owner not in others:
            present = getattr(owner, name)
            if value is present or (type(value) is int and value == present):
                return
            in_force[owner] = present
        others[owner] = value

    def swap(self) -> None:
        for name, (others, in_force) in self._by_name.items():
            if name == "weight":  # has the most changes: a loop of its own takes two thirds of the time
                for server, weight in others.items():
                    server.weight = weight
            else:
                exhaust(map(setattr, others, repeat(name), others.values()))
            self._by_name[name] = in_force, others

    def discard(self) -> Steps:
        for noted in chain.from_iterable(self._by_name.values()):
            while noted:
                noted.popitem()
                yield


def _notify(service: VirtualService, changes: Sequence[Any]) -> None:
    """Tell a scheduler in force that its servers have changed."""
    scheduler = service.scheduler
    if isinstance(scheduler, TurnScheduler):
        for change in changes:
            scheduler.apply_change(change)
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
