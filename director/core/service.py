"""Virtual services and their real servers: the rules, and what was counted for each.

Values are checked here, whoever brings them. Which server a connection gets is the
schedulers' business, and what becomes of its packets the director's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from director.core.commands import ServiceKey
from director.core.decision import Method
from director.core.errors import BadValue
from director.core.packet import TCP, UDP, Endpoint
from director.core.schedulers import Scheduler

PROTOCOLS = {TCP: "TCP", UDP: "UDP"}
MOST_WEIGHT = 65535
COUNTERS = ("connections", "active", "inactive", "packets_in", "packets_out", "bytes_in", "bytes_out")


@dataclass(eq=False, slots=True)
class RealServer:
    """One real server of one service; `listed` turns False when its rule is deleted.

    A weight of 0 takes no new connections and keeps those it has (quiesced).
    """

    address: Endpoint
    weight: int
    method: Method
    listed: bool = True
    connections: int = 0  # given to it so far
    active: int = 0
    inactive: int = 0
    packets_in: int = 0
    packets_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0

    def __post_init__(self) -> None:
        check_endpoint("real server", self.address)
        check_weight(self.weight)

    @property
    def available(self) -> bool:
        """Whether it may be given a new connection."""
        return self.listed and self.weight > 0

    @property
    def overhead(self) -> int:
        """Its load as lc and wlc see it: an active connection weighs as much as 256 inactive ones."""
        return 256 * self.active + self.inactive

    def count(self, *, active: bool, by: int) -> None:
        """A connection has come (1) or gone (-1)."""
        if active:
            self.active += by
        else:
            self.inactive += by

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "address": self.address.address,
            "port": self.address.port,
            "weight": self.weight,
            "method": self.method.value,
            **{name: getattr(self, name) for name in COUNTERS},
        }


@dataclass(eq=False, slots=True)
class VirtualService:
    """A VIP and port with the real servers behind it, in the order in which they were added.

    `removed` keeps servers whose rules are gone while connections still refer to them: adding
    such a server again gives it its connections back.
    """

    key: ServiceKey
    scheduler_name: str
    scheduler: Scheduler
    servers: list[RealServer] = field(default_factory=list)
    removed: dict[Endpoint, RealServer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_key(self.key)

    def server(self, address: Endpoint) -> RealServer | None:
        return next((server for server in self.servers if server.address == address), None)

    def __str__(self) -> str:
        return f"{PROTOCOLS[self.key.protocol]} {self.key.address}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; the counters are the sums over the servers that have a rule."""
        return {
            "protocol": PROTOCOLS[self.key.protocol],
            "address": self.key.address.address,
            "port": self.key.address.port,
            "scheduler": self.scheduler_name,
            **{name: sum(getattr(server, name) for server in self.servers) for name in COUNTERS},
            "servers": [server.as_dict() for server in self.servers],
        }


def check_key(key: ServiceKey) -> None:
    """Raises BadValue."""
    if key.protocol not in PROTOCOLS:
        raise BadValue("protocol", "6 (TCP) or 17 (UDP)", key.protocol)
    check_endpoint("virtual service", key.address)


def check_endpoint(field_name: str, endpoint: Endpoint) -> None:
    """An address in dotted decimal, and a port from 1 to 65535; raises BadValue."""
    try:
        IPv4Address(str(endpoint.address))
    except AddressValueError:
        raise BadValue(field_name, "an address such as 192.0.2.1", endpoint.address) from None
    if type(endpoint.port) is not int or not 1 <= endpoint.port <= 65535:
        raise BadValue(field_name, "a port from 1 to 65535", endpoint.port)


def check_weight(weight: int) -> None:
    """Raises BadValue."""
    if type(weight) is not int or not 0 <= weight <= MOST_WEIGHT:
        raise BadValue("weight", f"0 to {MOST_WEIGHT}", weight)
