"""The rules of a running director: virtual services, marks, timeouts and sysctls.

Packets are compared with them here. A transaction (transaction.py) changes them as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

from director.core import ftp, schedulers
from director.core.commands import ServiceKey
from director.core.marks import Marks, mark_of
from director.core.packet import TCP, Endpoint, Packet
from director.core.real_server import Method, RealServer
from director.core.service import VirtualService
from director.core.states import Timeouts
from director.core.sysctls import Sysctls


class Rules:
    """Iterates over the services in the order in which they were added.

    `method` and `scheduler` hold for commands that name none. `is_local` tells whether an address is one
    of the director's own: a real server there is the local node, whatever its rule asks for.
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
        self.method = method
        self.scheduler = scheduler
        self.is_local = is_local
        self.by_key: dict[ServiceKey, VirtualService] = {}
        self.removed: dict[ServiceKey, dict[Endpoint, RealServer]] = {}  # servers of services that are gone
        self.service_addresses: frozenset[str] = frozenset()  # the addresses of services
        self.changed()

    def changed(self) -> None:
        """They are others now: what was put in order to find servers by is out of date."""
        self._nat = _NatServers(self.by_key, self.removed)

    def __iter__(self) -> Iterator[VirtualService]:
        return iter(self.by_key.values())

    def find(self, packet: Packet) -> VirtualService | None:
        """The service that a packet asks for: by its mark, else by its port, else by port 0.

        In between, a port that nobody has a rule for may be the data connection of ftp.
        """
        protocol, to, find = packet.protocol, packet.destination, self.by_key.get
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
        waited_for = {
            key.address.address for key in self.removed if not key.mark and self._is_waited_for(key)
        }
        return {*self.service_addresses, *networks_of(self.marks), *waited_for}

    def is_vip(self, address: str) -> bool:
        """Whether `address` is among them."""
        if address in self.service_addresses or any(rule.covers(address) for rule in self.marks):
            return True
        gone = (key for key in self.removed if key.address.address == address and not key.mark)
        return any(map(self._is_waited_for, gone))

    def _is_waited_for(self, key: ServiceKey) -> bool:
        return any(server.in_use for server in self.removed[key].values())

    def shared_with_copies(self) -> Iterator[object]:
        """What a copy may have in common with the original, because no packet changes it."""
        yield from (self.is_local, self.removed, self.service_addresses, self._nat)

    def serves(self, protocol: int, end: Endpoint) -> bool:
        """Whether `end` is a VS-NAT real server's."""
        return (protocol, end) in self._nat.ends or (0, end) in self._nat.ends

    def has_server(self, address: str) -> bool:
        """Whether a VS-NAT real server is there, or one whose rule is gone while its connections go on."""
        return address in self._nat.hosts


class _NatServers:
    """VS-NAT real servers, put in order when somebody looks for one."""

    def __init__(
        self,
        services: Mapping[ServiceKey, VirtualService],
        removed: Mapping[ServiceKey, Mapping[Endpoint, RealServer]],
    ) -> None:
        self._services, self._removed = services, removed

    @cached_property
    def ends(self) -> frozenset[tuple[int, Endpoint]]:
        """By the protocol of their services and their own ends."""
        return frozenset(
            (service.key.protocol, server.address)
            for service in self._services.values()
            for server in service.servers
            if server.method is Method.NAT
        )

    @cached_property
    def hosts(self) -> frozenset[str]:
        """Their addresses, and those of servers whose rules are gone."""
        gone = (*(service.removed for service in self._services.values()), *self._removed.values())
        servers = (server for removed in gone for server in removed.values() if server.method is Method.NAT)
        return frozenset(
            {server.address.address for server in servers} | {end.address for _, end in self.ends}
        )


def networks_of(marks: Marks) -> set[str]:
    """The networks that marks are given to, or addresses, as text."""
    return {rule.as_dict()["network"] for rule in marks}


def _may_be_ftp(packet: Packet) -> bool:
    """Whether the port is one to which an ftp client may have been sent."""
    port = packet.destination.port
    return packet.protocol == TCP and (port == ftp.DATA_PORT or port >= ftp.FIRST_FREE_PORT)
