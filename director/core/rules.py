"""The rules of a running director: virtual services, marks, timeouts and sysctls.

Packets are matched against them here. A transaction (transaction.py) changes them as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from director.core import ftp, schedulers
from director.core.commands import ServiceKey, mark_key
from director.core.family import family_of
from director.core.marks import Marks, mark_of
from director.core.packet import TCP, Endpoint, Packet
from director.core.real_server import Method, RealServer
from director.core.service import VirtualService
from director.core.states import Timeouts
from director.core.sysctls import Sysctls

LocalServers = tuple[ServiceKey, list[tuple[Endpoint, Method]]]  # with the methods that were requested


def local_servers(
    services: Iterable[VirtualService], get: Callable[[Any, str], Any]
) -> Iterator[LocalServers]:
    """The services with the local node's addresses; `get` reads an attribute, as `getattr` or a draft."""
    for service in services:
        local = (server for server in get(service, "servers") if get(server, "method") is Method.LOCAL)
        yield service.key, [(server.address, get(server, "requested_method")) for server in local]


class Rules:
    """Iterates over the services in the order in which they were added.

    `method` and `scheduler` are the defaults of commands that name none. `is_local` tells whether an address
    is one of the director's own: a real server there is the local node, whatever method its rule has.
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
        schedulers.make(scheduler)  # refuse an unknown name at once
        self.timeouts = timeouts
        self.sysctls = sysctls
        self.marks: Marks = ()
        self.method = method
        self.scheduler = scheduler
        self.is_local = is_local
        self.by_key: dict[ServiceKey, VirtualService] = {}
        self.removed: dict[ServiceKey, dict[Endpoint, RealServer]] = {}  # servers of deleted services
        self.service_addresses: frozenset[str] = frozenset()
        self.local: dict[VirtualService, None] = {}  # services that have, or had, the local node as a server
        self.synchronised = False  # with another director; then no service may have servers of two families
        self.nat_servers = _NatServers(self)

    def __iter__(self) -> Iterator[VirtualService]:
        return iter(self.by_key.values())

    def local_servers(self) -> Iterator[LocalServers]:
        """The services that the local node serves, with its addresses."""
        return local_servers(self.local, getattr)

    def find(self, packet: Packet) -> VirtualService | None:
        """The service for a packet: by its mark, else by its port, else by port 0.

        Between the last two, a port without a service may be that of an ftp data connection.
        """
        return self.find_service(packet.protocol, packet.destination, mark_of(packet, self.marks))

    def find_service(self, protocol: int, to: Endpoint, mark: int) -> VirtualService | None:
        """The same for packets to an endpoint with a mark, 0 for none."""
        find = self.by_key.get
        found = find(mark_key(mark, family_of(to.address))) if mark else None
        found = found or find(ServiceKey(protocol, to))
        if found is None and _may_be_ftp_data(to.port):
            found = self.find_ftp(protocol, to)
        return found or find(ServiceKey(protocol, Endpoint(to.address, 0)))

    def find_ftp(self, protocol: int, to: Endpoint) -> VirtualService | None:
        """The ftp service of a VIP."""
        if protocol != TCP:
            return None
        return self.by_key.get(ServiceKey(TCP, Endpoint(to.address, ftp.CONTROL_PORT)))

    def mixed(self) -> str:
        """A real server of another family than its service's, and the service; empty if there is none."""
        for service in self:
            for server in service.servers:
                if family_of(server.address.address) is not service.key.family:
                    return f"{server.address} of {service}"
        return ""

    def vips(self) -> set[str]:
        """The addresses of services, and the networks (CIDR) that marks are given to.

        An address of a deleted service is included as long as connections wait for its servers.
        """
        awaited = {key.address.address for key in self.removed if not key.mark and self._is_awaited(key)}
        return {*self.service_addresses, *networks_of(self.marks), *awaited}

    def is_vip(self, address: str) -> bool:
        """Whether `address` is one of the vips."""
        if address in self.service_addresses or any(rule.covers(address) for rule in self.marks):
            return True
        deleted = (key for key in self.removed if key.address.address == address and not key.mark)
        return any(map(self._is_awaited, deleted))

    def _is_awaited(self, key: ServiceKey) -> bool:
        return any(server.in_use for server in self.removed[key].values())

    def shared_with_copies(self) -> Iterator[object]:
        """What a copy may share with the original, because no packet changes it."""
        yield from (self.is_local, self.removed, self.service_addresses, self.local, self.nat_servers)

    def serves(self, protocol: int, endpoint: Endpoint) -> bool:
        """Whether `endpoint` is that of a VS-NAT real server."""
        endpoints = self.nat_servers.endpoints
        return (protocol, endpoint) in endpoints or (0, endpoint) in endpoints

    def has_server(self, address: str) -> bool:
        """Whether a VS-NAT real server has this address, even one whose rule was deleted."""
        return address in self.nat_servers.hosts


class _NatServers:
    """An index of the VS-NAT real servers: built when a packet first needs it, and then after each change."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._changes = 0
        self._built: tuple[set[tuple[int, Endpoint]], set[str]] | None = None

    @property
    def endpoints(self) -> set[tuple[int, Endpoint]]:
        """Pairs of the service's protocol and the server's endpoint."""
        return self._index()[0]

    @property
    def hosts(self) -> set[str]:
        """Their addresses, and those of servers whose rules were deleted."""
        return self._index()[1]

    def _index(self) -> tuple[set[tuple[int, Endpoint]], set[str]]:
        if self._built is None:
            for _ in self._build():
                pass
        return self._built or (set(), set())

    def changed(self) -> None:
        """The rules have changed; `refresh` follows. Until then, packets meet the index as it was."""
        self._changes += 1

    def refresh(self) -> Iterator[None]:
        """Build it again if packets have needed it, one server in each step."""
        if self._built:
            yield from self._build()

    def _build(self) -> Iterator[None]:
        changes, rules = self._changes, self._rules
        endpoints: set[tuple[int, Endpoint]] = set()
        hosts: set[str] = set()
        removed = list(rules.removed.values())
        for service in rules:
            removed.append(service.removed)
            for server in service.servers:
                if server.method is Method.NAT:
                    endpoints.add((service.key.protocol, server.address))
                    hosts.add(server.address.address)
                yield
        for group in removed:
            hosts.update(server.address.address for server in group.values() if server.method is Method.NAT)
            yield
        if changes == self._changes:  # else the refresh after a later change builds it
            self._built = endpoints, hosts


def networks_of(marks: Marks) -> set[str]:
    """The networks or addresses that marks are given to, as text."""
    return {rule.as_dict()["network"] for rule in marks}


def _may_be_ftp_data(port: int) -> bool:
    """Whether an ftp client may have been told to connect to this port."""
    return port == ftp.DATA_PORT or port >= ftp.FIRST_UNPRIVILEGED_PORT
