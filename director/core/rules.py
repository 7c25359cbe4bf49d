"""The rules of a running director: virtual services, marks, timeouts and sysctls, changed by commands.

A list of commands is carried out whole or not at all: every step notes how to take it back. That is
possible until `settle`, so that an engine that can't do its part leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial, singledispatchmethod

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
from director.core.decision import Method
from director.core.errors import (
    BadValue,
    LvsError,
    NoSuchServer,
    NoSuchService,
    ServerExists,
    ServiceExists,
)
from director.core.marks import Mark, Marks, mark_of, without
from director.core.packet import TCP, Endpoint, Packet
from director.core.service import Policy, RealServer, VirtualService, check_key, check_server, name_of
from director.core.states import Timeouts
from director.core.statistics import Statistics
from director.core.sysctls import Sysctls

FTP_PERSISTENCE = 300  # seconds: of ftp in VS-TUN and VS-DR, where no rule says how long


class Rules:
    """Iterates over the services in the order in which they were added.

    `is_local` tells whether an address is one of the director's own: a real server there is
    the local node, whatever its rule asks for.
    """

    def __init__(
        self,
        method: Method,
        scheduler: str,
        *,
        timeouts: Timeouts,
        sysctls: Sysctls,
        is_local: Callable[[str], bool] = lambda _address: False,
    ) -> None:
        schedulers.make(scheduler)  # refuse a wrong name at once
        self.timeouts = timeouts
        self.sysctls = sysctls
        self.marks: Marks = ()
        self._method = method
        self._scheduler = scheduler
        self.is_local = is_local
        self._services: dict[ServiceKey, VirtualService] = {}
        self._removed: dict[ServiceKey, dict[Endpoint, RealServer]] = {}
        self._undo: list[Callable[[], object]] = []
        self._memories: dict[int, Callable[[], None]] = {}  # of schedulers, as they were, by identity

    def __iter__(self) -> Iterator[VirtualService]:
        return iter(self._services.values())

    def find(self, packet: Packet) -> VirtualService | None:
        """The service that a packet asks for: by its mark, else by its port, else by port 0.

        In between, a port that nobody has a rule for may be the data connection of ftp.
        """
        protocol, to, find = packet.protocol, packet.destination, self._services.get
        mark = mark_of(packet, self.marks)
        found = find(ServiceKey(mark=mark)) if mark else None
        found = found or find(ServiceKey(protocol, to))
        if found is None and _may_be_ftp(packet):
            found = find(ServiceKey(TCP, Endpoint(to.address, ftp.CONTROL_PORT)))
        return found or find(ServiceKey(protocol, Endpoint(to.address, 0)))

    def vips(self) -> set[str]:
        """The addresses that services listen on, and the networks (CIDR) that marks are given to.

        Those of services that were deleted are among them, while connections wait for their servers.
        """
        marked = {rule.as_dict()["network"] for rule in self.marks}
        return marked | {key.address.address for key in self._listened_on() if not key.mark}

    def _listened_on(self) -> Iterator[ServiceKey]:
        yield from self._services
        yield from (
            key
            for key, servers in self._removed.items()
            if any(server.is_referred_to for server in servers.values())
        )

    def is_vip(self, address: str) -> bool:
        """Whether `address` is among them."""
        listened_on = any(key.address.address == address for key in self._listened_on())
        return listened_on or any(rule.covers(address) for rule in self.marks)

    def serves(self, protocol: int, end: Endpoint) -> bool:
        """Whether `end` is a VS-NAT real server's."""
        return any(
            server.method is Method.NAT and server.address == end
            for service in self
            if service.key.protocol in (0, protocol)
            for server in service.servers
        )

    def has_server(self, address: str) -> bool:
        """Whether a VS-NAT real server is there."""
        return any(
            server.method is Method.NAT and server.address.address == address
            for service in self
            for server in service.servers
        )

    def apply(self, commands: Sequence[Command]) -> None:
        """Carry out all of `commands`; `settle` or `take_back` follows.

        Raises LvsError with nothing changed.
        """
        self.settle()
        done = False
        order = dict(self._services)  # services that were deleted come back in their places
        try:
            self._undo.append(partial(setattr, self, "_services", order))
            for command in commands:
                self._carry_out(command)
            done = True
        except LvsError as error:
            error.command = command
            raise
        finally:
            if not done:
                self.take_back()

    def settle(self) -> None:
        """What `apply` has done last is final."""
        self._undo, self._memories = [], {}
        self._forget_idle()

    def take_back(self) -> None:
        """Undo what `apply` has done last, if it can't be carried out elsewhere."""
        while self._undo:
            self._undo.pop()()
        for remember in self._memories.values():
            remember()
        self._memories = {}

    def _tell_scheduler(self, service: VirtualService) -> None:
        """Only the one whose servers are others now: nobody else's turn is touched."""
        scheduler = service.scheduler
        if id(scheduler) not in self._memories:
            self._memories[id(scheduler)] = partial(schedulers.memory_of(scheduler), service.servers)
        scheduler.changed(service.servers)

    def _forget_idle(self) -> None:
        """Deleted servers that nothing refers to need not be kept."""
        for key, servers in list(self._removed.items()):
            idle = [at for at, one in servers.items() if not one.is_referred_to]
            for address in idle:
                del servers[address]
            if not servers and key not in self._services:
                del self._removed[key]

    def _set(self, owner: object, **values: object) -> None:
        """Give `owner` new values; they can be taken back.

        What stays as it was is not noted: of a server that was just made, that is nearly everything.
        """
        for name, value in values.items():
            before = getattr(owner, name)
            if before is not value:
                setattr(owner, name, value)
                self._undo.append(partial(setattr, owner, name, before))

    @singledispatchmethod
    def _carry_out(self, command: Command) -> None:
        raise TypeError(f"{command!r} is no command")

    # ---- services ----

    @_carry_out.register
    def _add_service(self, command: AddService) -> None:
        check_key(command.key)
        if command.key in self._services:
            if command.exist_ok:
                return
            raise ServiceExists(f"Service already exists: {self._services[command.key]}.")
        policy = self._policy(command)
        scheduler = schedulers.make(policy.scheduler_name, policy.flags, self.sysctls)
        if command.key not in self._removed:
            self._removed[command.key] = {}
            self._undo.append(lambda: self._removed.pop(command.key))
        removed = self._removed[command.key]
        for server in removed.values():  # what it has done for a service that is gone counts no more
            self._set(server, stats=Statistics())
        self._services[command.key] = VirtualService(command.key, policy, scheduler, removed=removed)
        self._undo.append(lambda: self._services.pop(command.key))

    @_carry_out.register
    def _edit_service(self, command: EditService) -> None:
        service = self._service(command.key)
        policy = self._policy(command)
        same = (policy.scheduler_name, policy.flags) == (service.policy.scheduler_name, service.policy.flags)
        if not same:
            self._set(service, scheduler=schedulers.make(policy.scheduler_name, policy.flags, self.sysctls))
            self._tell_scheduler(service)
        self._set(service, policy=policy)

    def _policy(self, command: AddService | EditService) -> Policy:
        persistent = command.persistent
        if persistent is None:
            half_seen = self._method is not Method.NAT and command.key.protocol == TCP
            is_ftp = command.key.address.port == ftp.CONTROL_PORT
            persistent = FTP_PERSISTENCE if half_seen and is_ftp else 0
        name = command.scheduler or self._scheduler
        policy = Policy(name, tuple(command.flags), persistent, command.netmask, command.one_packet)
        policy.check(command.key)
        return policy

    @_carry_out.register
    def _delete_service(self, command: DeleteService) -> None:
        service = self._service(command.key)
        for server in list(service.servers):
            self._delete_server(DeleteServer(command.key, server.address))
        del self._services[command.key]
        self._undo.append(lambda: self._services.update({command.key: service}))

    @_carry_out.register
    def _clear(self, _command: Clear) -> None:
        for key in list(self._services):
            self._delete_service(DeleteService(key))

    @_carry_out.register
    def _zero(self, command: Zero) -> None:
        services = [self._service(command.key)] if command.key else list(self)
        for counted in (each for service in services for each in (service, *service.servers)):
            self._set(counted, stats=Statistics())

    # ---- real servers ----

    @_carry_out.register
    def _add_server(self, command: AddServer) -> None:
        service = self._service_of(command)
        check_server(command.server, command.weight, command.upper, command.lower)
        if service.server(command.server):
            raise ServerExists(f"Destination already exists: real server {command.server} of {service}.")
        asked = command.method or self._method
        method = self._check_method(service, command.server, asked)
        server = self._revived(service, command.server) or RealServer(command.server, 0, method)
        self._set(server, method=method, asked=asked, listed=True)
        self._weigh(server, command.weight)
        self._limit(server, command.upper, command.lower)
        service.servers.insert(0, server)
        self._undo.append(lambda: service.servers.remove(server))
        self._tell_scheduler(service)

    def _revived(self, service: VirtualService, address: Endpoint) -> RealServer | None:
        """A deleted server that connections still refer to."""
        server = service.removed.pop(address, None)
        if server is not None:
            self._undo.append(lambda: service.removed.update({address: server}))
        return server

    @_carry_out.register
    def _edit_server(self, command: EditServer) -> None:
        service = self._service_of(command)
        server = self._server(service, command.server)
        weight = server.weight if command.weight is None else command.weight
        upper = server.upper if command.upper is None else command.upper
        lower = server.lower if command.lower is None else command.lower
        check_server(server.address, weight, upper, lower)
        asked = command.method or server.asked
        method = self._check_method(service, server.address, asked)
        self._set(server, method=method, asked=asked)
        self._weigh(server, weight)
        self._limit(server, upper, lower)
        self._tell_scheduler(service)

    def _weigh(self, server: RealServer, weight: int) -> None:
        self._set(server, weight=weight, last_weight=weight or server.last_weight)

    def _limit(self, server: RealServer, upper: int, lower: int) -> None:
        """New thresholds hold for the connections that are there; a raised one gives another chance."""
        full = 0 < upper <= server.active + server.inactive
        overloaded = full or (server.overloaded and 0 < upper <= server.upper)
        self._set(server, upper=upper, lower=lower, overloaded=overloaded)

    def _check_method(self, service: VirtualService, server: Endpoint, asked: Method) -> Method:
        """What becomes of the method asked for. Raises BadValue."""
        port = service.key.address.port
        if asked is not Method.NAT and not service.key.mark and server.port != port:
            raise BadValue("real server", f"port {port}: only VS-NAT changes it", str(server))
        return Method.LOCAL if self.is_local(server.address) else asked

    @_carry_out.register
    def _delete_server(self, command: DeleteServer) -> None:
        service = self._service_of(command)
        server = self._server(service, command.server)
        place = service.servers.index(server)
        self._unlist(service, server)
        self._undo.append(lambda: self._relist(service, server, place))
        self._tell_scheduler(service)

    @staticmethod
    def _unlist(service: VirtualService, server: RealServer) -> None:
        """Connections keep referring to the server; a rule that brings it back revives them."""
        service.servers.remove(server)
        server.listed = False
        service.removed[server.address] = server

    @staticmethod
    def _relist(service: VirtualService, server: RealServer, place: int) -> None:
        del service.removed[server.address]
        server.listed = True
        service.servers.insert(place, server)

    # ---- settings ----

    @_carry_out.register
    def _set_timeouts(self, command: SetTimeouts) -> None:
        asked = {"established": command.tcp, "fin_wait": command.tcpfin, "udp": command.udp}
        wanted = {name: seconds for name, seconds in asked.items() if seconds != 0}
        self._set(self, timeouts=replace(self.timeouts, **wanted))

    @_carry_out.register
    def _set_sysctl(self, command: SetSysctl) -> None:
        sysctls = self.sysctls.with_value(command.name, command.value)
        self._undo.append(self._tune)  # comes after what is undone next
        self._set(self, sysctls=sysctls)
        self._tune()

    def _tune(self) -> None:
        for service in self:
            schedulers.tune(service.policy.scheduler_name, service.scheduler, self.sysctls)

    @_carry_out.register
    def _add_mark(self, command: AddMark) -> None:
        self._set(self, marks=(*self.marks, Mark.of(command)))

    @_carry_out.register
    def _delete_mark(self, command: DeleteMark) -> None:
        self._set(self, marks=without(self.marks, Mark.of(command)))

    @_carry_out.register
    def _clear_marks(self, _command: ClearMarks) -> None:
        self._set(self, marks=())

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
    def _server(service: VirtualService, address: Endpoint) -> RealServer:
        server = service.server(address)
        if server is None:
            raise NoSuchServer(f"No such destination: real server {address} of {service}.")
        return server


def _may_be_ftp(packet: Packet) -> bool:
    """Whether the port is one to which an ftp client may have been sent."""
    port = packet.destination.port
    return packet.protocol == TCP and (port == ftp.DATA_PORT or port >= ftp.FIRST_FREE_PORT)
