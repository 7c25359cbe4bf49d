"""Virtual services: what identifies one, how it treats its clients, and which real servers it has.

Values are checked here, whichever front end they come from. The schedulers decide which server a connection
gets, forwarding.py what happens to its packets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from director.core.commands import ServiceKey
from director.core.errors import BadValue
from director.core.family import IPV4, check_netmask
from director.core.marks import check_mark
from director.core.packet import PROTOCOL_NAMES, TCP, UDP, Endpoint, check_endpoint
from director.core.real_server import RealServer, RealServers
from director.core.schedulers import Scheduler
from director.core.states import MAX_TIMEOUT
from director.core.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Policy:
    """How a service treats its clients: all that ipvsadm -E can change.

    `persistent` is in seconds, 0 for none; clients with the same address under `netmask` (for IPv6, a
    prefix length) count as one.
    """

    scheduler_name: str
    flags: tuple[str, ...] = ()
    persistent: int = 0
    netmask: str = IPV4.whole
    one_packet: bool = False

    def check(self, key: ServiceKey) -> None:
        """Raises BadValue."""
        if type(self.persistent) is not int or not 0 <= self.persistent <= MAX_TIMEOUT:
            raise BadValue("persistence", f"0 to {MAX_TIMEOUT} seconds", self.persistent)
        check_netmask("netmask", self.netmask, key.family)
        if not key.mark and not key.address.port and not self.persistent:
            raise BadValue(
                "virtual service", "a persistent one, because port 0 means every port", str(key.address)
            )
        if self.one_packet and key.protocol == TCP:
            raise BadValue("virtual service", "UDP for one-packet scheduling", str(key.address))


@dataclass(eq=False, slots=True)
class VirtualService:
    """A VIP and port (or a mark) with the real servers behind it, the newest first.

    That is the order in which the kernel keeps them and its schedulers look at them. `removed` keeps servers
    whose rules were deleted while connections still refer to them: a server that is added again gets its
    connections back.
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
        """JSON-ready, without the servers; deleting a server's rule does not lower the counters."""
        return {
            "protocol": "FWM" if self.key.mark else PROTOCOL_NAMES[self.key.protocol],
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
        """JSON-ready, with the servers."""
        return {**self.about(), "servers": [server.as_dict() for server in self.servers]}


def name_of(key: ServiceKey) -> str:
    """A service's name in messages: TCP 203.0.113.1:80, FWM 7, or FWM 7 IPv6."""
    if key.mark:
        return f"FWM {key.mark}" if key.family is IPV4 else f"FWM {key.mark} {key.family}"
    return f"{PROTOCOL_NAMES.get(key.protocol, key.protocol)} {key.address}"


def check_key(key: ServiceKey) -> None:
    """Raises BadValue."""
    if key.mark:
        check_mark(key.mark)
        return
    if key.protocol not in (TCP, UDP):
        raise BadValue("protocol", "6 (TCP) or 17 (UDP)", key.protocol)
    check_endpoint("virtual service", key.address)
