"""The rules of a running director: virtual services by their key, changed by commands.

A list of commands is carried out whole or not at all: every step notes how to take it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from director.core import schedulers
from director.core.commands import (
    AddServer,
    AddService,
    Clear,
    Command,
    DeleteServer,
    DeleteService,
    EditServer,
    ServiceKey,
)
from director.core.decision import Method
from director.core.errors import BadValue, NoSuchServer, NoSuchService, ServerExists, ServiceExists
from director.core.packet import Endpoint
from director.core.service import RealServer, VirtualService, check_key, check_weight


class Rules:
    """Iterates over the services in the order in which they were added."""

    def __init__(self, method: Method, scheduler: str) -> None:
        schedulers.make(scheduler)  # refuse a wrong name at once
        self._method = method
        self._scheduler = scheduler
        self._services: dict[ServiceKey, VirtualService] = {}
        self._removed: dict[ServiceKey, dict[Endpoint, RealServer]] = {}
        self._undo: list[Callable[[], object]] = []
        self._changed: list[VirtualService] = []

    def __iter__(self) -> Iterator[VirtualService]:
        return iter(self._services.values())

    def find(self, protocol: int, address: Endpoint) -> VirtualService | None:
        """The service that a packet to `address` asks for."""
        return self._services.get(ServiceKey(protocol, address))

    def vips(self) -> set[str]:
        """The addresses that services listen on."""
        return {key.address.address for key in self._services}

    def apply(self, commands: Sequence[Command]) -> None:
        """Carry out all of `commands`; raises LvsError with nothing changed."""
        self._undo, self._changed = [], []
        done = False
        try:
            for command in commands:
                self._carry_out(command)
            done = True
        finally:
            if not done:
                for take_back in reversed(self._undo):
                    take_back()
        self._tell_schedulers()
        self._forget_idle()

    def _tell_schedulers(self) -> None:
        """Only those whose servers are others now: nobody else's turn is touched."""
        for service in dict.fromkeys(self._changed):
            service.scheduler.changed(service.servers)

    def _forget_idle(self) -> None:
        """Deleted servers that no connection refers to need not be kept."""
        for key, servers in list(self._removed.items()):
            for address in [at for at, server in servers.items() if not server.active + server.inactive]:
                del servers[address]
            if not servers and key not in self._services:
                del self._removed[key]

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, AddService):
            self._add_service(command)
        elif isinstance(command, DeleteService):
            self._delete_service(command.key)
        elif isinstance(command, AddServer):
            self._add_server(command)
        elif isinstance(command, EditServer):
            self._edit_server(command)
        elif isinstance(command, DeleteServer):
            self._delete_server(command.key, command.server)
        elif isinstance(command, Clear):
            for key in list(self._services):
                self._delete_service(key)

    def _add_service(self, command: AddService) -> None:
        check_key(command.key)
        if command.key in self._services:
            if command.exist_ok:
                return
            raise ServiceExists(f"virtual service {command.key.address} exists already.")
        name = command.scheduler or self._scheduler
        removed = self._removed.setdefault(command.key, {})
        service = VirtualService(command.key, name, schedulers.make(name), removed=removed)
        self._services[command.key] = service
        self._undo.append(lambda: self._services.pop(command.key))

    def _delete_service(self, key: ServiceKey) -> None:
        before = dict(self._services)
        service = self._service(key)
        for server in list(service.servers):
            self._delete_server(key, server.address)
        del self._services[key]
        self._undo.append(lambda: self._restore(before))

    def _restore(self, services: dict[ServiceKey, VirtualService]) -> None:
        self._services = services

    def _add_server(self, command: AddServer) -> None:
        service = self._service(command.key)
        method = command.method or self._method
        new = RealServer(command.server, command.weight, method)
        self._check_port(service, new.address, method)
        if service.server(command.server):
            raise ServerExists(f"real server {command.server} of {command.key.address} exists already.")
        server = service.removed.pop(command.server, new)
        before = server.weight, server.method
        server.weight, server.method, server.listed = command.weight, method, True
        service.servers.append(server)
        self._changed.append(service)

        def take_back() -> None:
            self._unlist(service, server)
            server.weight, server.method = before

        self._undo.append(take_back)

    def _edit_server(self, command: EditServer) -> None:
        service = self._service(command.key)
        server = self._server(service, command.server)
        before = server.weight, server.method
        weight = server.weight if command.weight is None else command.weight
        method = command.method or server.method
        check_weight(weight)
        self._check_port(service, server.address, method)
        server.weight, server.method = weight, method
        self._changed.append(service)

        def take_back() -> None:
            server.weight, server.method = before

        self._undo.append(take_back)

    @staticmethod
    def _check_port(service: VirtualService, server: Endpoint, method: Method) -> None:
        port = service.key.address.port
        if method is not Method.NAT and server.port != port:
            raise BadValue("real server", f"port {port}: only VS-NAT changes it", str(server))

    def _delete_server(self, key: ServiceKey, address: Endpoint) -> None:
        service = self._service(key)
        server = self._server(service, address)
        place = service.servers.index(server)
        self._unlist(service, server)
        self._changed.append(service)
        self._undo.append(lambda: self._relist(service, server, place))

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

    def _service(self, key: ServiceKey) -> VirtualService:
        service = self._services.get(key)
        if service is None:
            raise NoSuchService(f"there is no virtual service {key.address}.")
        return service

    @staticmethod
    def _server(service: VirtualService, address: Endpoint) -> RealServer:
        server = service.server(address)
        if server is None:
            raise NoSuchServer(f"virtual service {service.key.address} has no real server {address}.")
        return server
