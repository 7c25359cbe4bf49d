"""Virtual services and their real servers: the rules, and what was counted for each.

Values are checked here, whoever brings them. Which server a connection gets is the
schedulers' business, and what becomes of its packets the director's.
"""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from director.core.commands import ONE_CLIENT, ServiceKey
from director.core.decision import Method
from director.core.errors import BadValue
from director.core.marks import check_mark
from director.core.packet import TCP, UDP, Endpoint
from director.core.schedulers import Scheduler
from director.core.states import LONGEST_TIMEOUT
from director.core.statistics import Statistics

PROTOCOLS = {TCP: "TCP", UDP: "UDP"}
_MOST = 2**31 - 1  # weights and thresholds; ipvsadm's own limit


@dataclass(eq=False, slots=True)
class RealServer:
    """One real server of one service; `listed` turns False when its rule is deleted.

    A weight of 0 takes no new connections and keeps those it has (quiesced); so does a server
    that has reached its upper threshold. `method` is what connections that come now get, `asked` what
    its rule asks for: the local node's method is LOCAL, whatever that is.
    """

    address: Endpoint
    weight: int
    method: Method
    upper: int = 0
    lower: int = 0
    listed: bool = True
    overloaded: bool = False
    active: int = 0
    inactive: int = 0
    templates: int = 0  # clients that persistence holds here
    stats: Statistics = field(default_factory=Statistics)
    last_weight: int = 0  # the last one above 0
    asked: Method = field(init=False)

    def __post_init__(self) -> None:
        self.asked = self.method
        check_server(self.address, self.weight, self.upper, self.lower)
        self.last_weight = self.weight

    @property
    def available(self) -> bool:
        """Whether it may be given a new connection."""
        return self.weight > 0 and self.listed and not self.overloaded

    @property
    def is_referred_to(self) -> bool:
        """Whether connections or templates need it, even without a rule."""
        return bool(self.active + self.inactive + self.templates)

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
        if self.upper or self.overloaded:
            self._weigh()

    def moved(self, *, active: bool) -> None:
        """One of its connections has become active, or has ceased to be."""
        self.active += 1 if active else -1
        self.inactive += -1 if active else 1

    def _weigh(self) -> None:
        """Overloaded from the upper threshold on, until below the lower one (or 3/4 of the upper)."""
        now = self.active + self.inactive
        if self.upper and now >= self.upper:
            self.overloaded = True
        elif self.lower:
            self.overloaded = self.overloaded and now >= self.lower
        elif 4 * now < 3 * self.upper or not self.upper:
            self.overloaded = False

    def __deepcopy__(self, memo: dict[int, Any]) -> RealServer:
        """Only its counters can be changed: a decision that is rehearsed copies a thousand of them."""
        twin = memo[id(self)] = copy(self)
        twin.stats = deepcopy(self.stats, memo)
        return twin

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "address": self.address.address,
            "port": self.address.port,
            "weight": self.weight,
            "method": self.asked.value,
            "upper": self.upper,
            "lower": self.lower,
            "active": self.active,
            "inactive": self.inactive,
            "persistent_connections": self.templates,
            **self.stats.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class Policy:
    """How a service deals with its clients: all that ipvsadm -E can change.

    `persistent` in seconds, 0 for none; clients that are the same under `netmask` count as one.
    """

    scheduler_name: str
    flags: tuple[str, ...] = ()
    persistent: int = 0
    netmask: str = ONE_CLIENT
    one_packet: bool = False

    def check(self, key: ServiceKey) -> None:
        """Raises BadValue."""
        if type(self.persistent) is not int or not 0 <= self.persistent <= LONGEST_TIMEOUT:
            raise BadValue("persistence", f"0 to {LONGEST_TIMEOUT} seconds", self.persistent)
        _check_address("netmask", self.netmask)
        if not key.mark and not key.address.port and not self.persistent:
            raise BadValue(
                "virtual service", "a persistent one, for port 0 means every port", str(key.address)
            )
        if self.one_packet and key.protocol == TCP:
            raise BadValue(
                "virtual service", "UDP, which one-packet scheduling is made for", str(key.address)
            )


class RealServers(list[RealServer]):
    """The real servers of a service in their order; one is found by its address without looking at all."""

    def __init__(self) -> None:
        super().__init__()
        self._by_address: dict[Endpoint, RealServer] = {}

    def copy(self) -> RealServers:
        twin = RealServers()
        twin.extend(self)
        twin._by_address = self._by_address.copy()
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> RealServers:
        twin = memo[id(self)] = RealServers()
        for server in self:
            twin.insert(len(twin), deepcopy(server, memo))
        return twin

    def at(self, address: Endpoint) -> RealServer | None:
        return self._by_address.get(address)

    def insert(self, place: Any, server: RealServer) -> None:
        super().insert(place, server)
        self._by_address[server.address] = server

    def remove(self, server: RealServer) -> None:
        super().remove(server)
        del self._by_address[server.address]


@dataclass(eq=False, slots=True)
class VirtualService:
    """A VIP and port (or a mark) with the real servers behind it, the newest first.

    That is the order in which the kernel has them and its schedulers look at them.
    `removed` keeps servers whose rules are gone while connections still refer to them: adding
    such a server again gives it its connections back.
    """

    key: ServiceKey
    policy: Policy
    scheduler: Scheduler
    servers: RealServers = field(default_factory=RealServers)
    removed: dict[Endpoint, RealServer] = field(default_factory=dict)
    stats: Statistics = field(default_factory=Statistics)

    def server(self, address: Endpoint) -> RealServer | None:
        return self.servers.at(address)

    def __str__(self) -> str:
        return name_of(self.key)

    def about(self) -> dict[str, Any]:
        """JSON-ready, without its servers; the counters go on when a server's rule is deleted."""
        return {
            "protocol": "FWM" if self.key.mark else PROTOCOLS[self.key.protocol],
            "address": self.key.address.address,
            "port": self.key.address.port,
            "mark": self.key.mark,
            "scheduler": self.policy.scheduler_name,
            "flags": list(self.policy.flags),
            "persistent": self.policy.persistent,
            "netmask": self.policy.netmask,
            "one_packet": self.policy.one_packet,
            "active": sum(server.active for server in self.servers),
            "inactive": sum(server.inactive for server in self.servers),
            **self.stats.as_dict(),
        }

    def as_dict(self) -> dict[str, Any]:
        """The same, with its servers."""
        return {**self.about(), "servers": [server.as_dict() for server in self.servers]}


def name_of(key: ServiceKey) -> str:
    """How a service is called in sentences: TCP 203.0.113.1:80, or FWM 7."""
    return f"FWM {key.mark}" if key.mark else f"{PROTOCOLS.get(key.protocol, key.protocol)} {key.address}"


_ALL_HOSTS, _ZERO_NET = IPv4Address("255.255.255.255"), IPv4Network("0.0.0.0/8")


@lru_cache(maxsize=65536)
def _is_host(address: str) -> bool:
    """Local or unicast, as ip_vs_new_dest wants it."""
    found = IPv4Address(address)
    return not found.is_multicast and found != _ALL_HOSTS and found not in _ZERO_NET


def check_key(key: ServiceKey) -> None:
    """Raises BadValue."""
    if key.mark:
        check_mark(key.mark)
        return
    if key.protocol not in PROTOCOLS:
        raise BadValue("protocol", "6 (TCP) or 17 (UDP)", key.protocol)
    check_endpoint("virtual service", key.address)


def check_server(address: Endpoint, weight: int, upper: int, lower: int) -> None:
    """Raises BadValue."""
    check_endpoint("real server", address)
    if not _is_host(address.address):
        raise BadValue("real server", "the address of one host", address.address)
    for name, value in (("weight", weight), ("upper threshold", upper), ("lower threshold", lower)):
        if type(value) is not int or not 0 <= value <= _MOST:
            raise BadValue(name, f"0 to {_MOST}", value)
    if lower > upper:
        raise BadValue("lower threshold", f"no more than the upper one, {upper}", lower)


def check_endpoint(field_name: str, endpoint: Endpoint) -> None:
    """An address in dotted decimal, and a port from 0 to 65535; raises BadValue."""
    _check_address(field_name, endpoint.address)
    if type(endpoint.port) is not int or not 0 <= endpoint.port <= 65535:
        raise BadValue(field_name, "a port from 0 to 65535", endpoint.port)


def _check_address(field_name: str, address: str) -> None:
    if not _is_address(str(address)):
        raise BadValue(field_name, "an address such as 192.0.2.1", address)


@lru_cache(maxsize=65536)  # rules come by the ten thousand, with the same addresses again and again
def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
