"""A real server of a virtual service: its rule, its load and its counters.

Values are checked here, whichever front end they come from.
"""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Any

from director.core.errors import BadValue
from director.core.family import IPV4, family_of
from director.core.packet import Endpoint, check_endpoint
from director.core.statistics import Statistics

_MAX = 2**31 - 1  # of weights and thresholds; ipvsadm's own limit
_LIMITED_BROADCAST, _THIS_NETWORK = IPv4Address(IPV4.whole), IPv4Network("0.0.0.0/8")


class Method(Enum):
    """How a request reaches its real server; the value is what ipvsadm prints."""

    NAT = "Masq"
    TUN = "Tunnel"
    DR = "Route"
    LOCAL = "Local"


@dataclass(eq=False, slots=True)
class RealServer:
    """One real server of one service; `configured` turns False when its rule is deleted.

    A server of weight 0 takes no new connections and keeps those it has (quiesced); so does an `overloaded`
    one, which has reached its upper threshold. `method` is that of new connections; `requested_method` is
    the one in the rule, while the local node's method is always LOCAL.
    """

    address: Endpoint
    weight: int
    method: Method
    upper: int = 0
    lower: int = 0
    configured: bool = True
    overloaded: bool = False
    active: int = 0
    inactive: int = 0
    templates: int = 0  # clients that persistence binds to it
    stats: Statistics = field(default_factory=Statistics)
    weight_before: int = 0  # the last weight above 0, while the weight is 0
    requested_method: Method = field(init=False)

    def __post_init__(self) -> None:
        self.requested_method = self.method
        check_server(self.address, self.weight, self.upper, self.lower)

    @property
    def last_weight(self) -> int:
        """The last weight above 0."""
        return self.weight or self.weight_before

    @property
    def available(self) -> bool:
        """Whether it may get a new connection."""
        return self.weight > 0 and self.configured and not self.overloaded

    @property
    def in_use(self) -> bool:
        """Whether connections or templates need it, even without a rule."""
        return bool(self.active + self.inactive + self.templates)

    @property
    def overhead(self) -> int:
        """Its load as lc and wlc see it: an active connection weighs as much as 256 inactive ones."""
        return 256 * self.active + self.inactive

    def count(self, *, active: bool, by: int) -> None:
        """A connection was added (1) or removed (-1)."""
        if active:
            self.active += by
        else:
            self.inactive += by
        if self.upper or self.overloaded:
            self._check_thresholds()

    def count_state_change(self, *, active: bool) -> None:
        """Count a connection that has become active, or inactive."""
        self.active += 1 if active else -1
        self.inactive += -1 if active else 1

    def _check_thresholds(self) -> None:
        """Overloaded from the upper threshold on, until below the lower one (or 3/4 of the upper)."""
        connections = self.active + self.inactive
        if self.upper and connections >= self.upper:
            self.overloaded = True
        elif self.lower:
            self.overloaded = self.overloaded and connections >= self.lower
        elif 4 * connections < 3 * self.upper or not self.upper:
            self.overloaded = False

    def __deepcopy__(self, memo: dict[int, Any]) -> RealServer:
        """Copy deeply the counters only: a dry run copies a thousand servers."""
        twin = memo[id(self)] = copy(self)
        twin.stats = deepcopy(self.stats, memo)
        return twin

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "address": self.address.address,
            "port": self.address.port,
            "weight": self.weight,
            "method": self.requested_method.value,
            "upper": self.upper,
            "lower": self.lower,
            "active": self.active,
            "inactive": self.inactive,
            "persistent_connections": self.templates,
            **self.stats.as_dict(),
        }


class RealServers(list[RealServer]):
    """The real servers of a service in their order, with an index by address."""

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

    def insert(self, index: Any, server: RealServer) -> None:
        super().insert(index, server)
        self._by_address[server.address] = server

    def remove(self, server: RealServer) -> None:
        super().remove(server)
        del self._by_address[server.address]


def check_server(address: Endpoint, weight: int, upper: int, lower: int) -> None:
    """Raises BadValue."""
    check_endpoint("real server", address)
    expected = _expected_host(address.address)
    if expected:
        raise BadValue("real server", expected, address.address)
    for name, value in (("weight", weight), ("upper threshold", upper), ("lower threshold", lower)):
        if type(value) is not int or not 0 <= value <= _MAX:
            raise BadValue(name, f"0 to {_MAX}", value)
    if lower > upper:
        raise BadValue("lower threshold", f"no more than the upper one, {upper}", lower)


@lru_cache(maxsize=65536)
def _expected_host(address: str) -> str:
    """What to expect instead of this address, if ip_vs_new_dest would refuse it; else empty."""
    if family_of(address) is IPV4:
        ipv4 = IPv4Address(address)
        is_host = not ipv4.is_multicast and ipv4 != _LIMITED_BROADCAST and ipv4 not in _THIS_NETWORK
        return "" if is_host else "the address of one host"
    ipv6 = IPv6Address(address)
    if ipv6.ipv4_mapped is not None:
        return f"an address that is not IPv4-mapped: write {ipv6.ipv4_mapped}"
    if ipv6.is_link_local:
        return "an address that is not link-local, because a rule names no interface"
    return "the address of one host" if ipv6.is_multicast or ipv6.is_unspecified else ""
