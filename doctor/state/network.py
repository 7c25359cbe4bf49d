"""A host's network state: links, addresses, routes, neighbours, filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from typing import Any

_LOOPBACK = "lo"
_PERMANENT = "PERMANENT"
_USUAL_METRICS = (0, 256, 1024)  # IPv4's; in IPv6 those of connected networks and of all other routes
_UNVERIFIED = (_PERMANENT, "NOARP")  # states of neighbour entries that no ARP reply changes


@dataclass(frozen=True, slots=True)
class Plug:
    """An interface in the lab's plan, and the switch and its port that it is plugged into."""

    interface: str
    switch: str
    address: str
    prefix: int
    mac: str = ""
    port: str = ""

    def reaches(self, address: str) -> bool:
        """Whether `address` is in its network."""
        return ip_address(address) in ip_interface(f"{self.address}/{self.prefix}").network


@dataclass(frozen=True, slots=True)
class Link:
    """An interface's actual state. `carrier` is False if the other end is down or missing.

    `mac` is empty for tunnels; `qdisc` is the queueing discipline, such as noqueue, or netem, which drops.
    `master` is the bridge or bond of which it is a port; `xdp` is the number of its XDP program, 0 for none.
    """

    interface: str
    up: bool
    carrier: bool
    mtu: int
    mac: str = ""
    qdisc: str = ""
    arp: bool = True
    master: str = ""
    xdp: int = 0
    broadcast: str = ""

    @property
    def works(self) -> bool:
        return self.up and self.carrier


@dataclass(frozen=True, slots=True)
class Address:
    """An address of an interface: `label` is the alias, such as lo:0; `up` is the state of the interface.

    `detection`: in IPv6, tentative or dadfailed as long as the address cannot be used (RFC 4862, DAD).
    """

    interface: str
    address: str
    prefix: int
    label: str = ""
    scope: str = "global"
    up: bool = True
    detection: str = ""

    @property
    def works(self) -> bool:
        """Whether the address is usable; those of IPv4 on lo are even if lo is down."""
        stays = self.interface == _LOOPBACK and ":" not in self.address
        return (self.up or stays) and not self.detection

    def __str__(self) -> str:
        down = "" if self.up else ", which is down"
        down += f" ({self.detection})" if self.detection else ""
        return f"{self.address}/{self.prefix} on {self.label or self.interface}{down}"


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the main routing table; without `gateway`, a directly connected network.

    `kind` is empty for an ordinary one, else blackhole, unreachable or prohibit. `paths` are the next hops of
    a multipath route, such as `via 203.0.113.254 dev rs1-eth0`.
    """

    destination: str
    gateway: str
    interface: str
    kind: str = ""
    metric: int = 0
    paths: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """Its metric, if that is not the usual one."""
        return 0 if self.metric in _USUAL_METRICS else self.metric

    def __str__(self) -> str:
        kind = f"{self.kind} " if self.kind else ""
        by = f" via {self.gateway}" if self.gateway else ""
        dev = f" dev {self.interface}" if self.interface else ""
        metric = f" metric {self.rank}" if self.rank else ""
        paths = "".join(f" nexthop {path}" for path in self.paths)
        return f"{kind}{self.destination}{by}{dev}{metric}{paths}"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A policy routing rule other than the kernel's own three (ip-rule(8)); `text` as `ip` prints it."""

    priority: int
    text: str

    def __str__(self) -> str:
        return f"{self.priority}: {self.text}"


@dataclass(frozen=True, slots=True)
class NextHop:
    """The kernel's next hop for packets to `target`; without `interface` there is no route.

    `source` and `inbound`: for packets with that source address, received on that interface. `local`: they
    are delivered to this host. `mtu`, `hoplimit` and `window` are the route's own metrics, if any.
    `preferred` is the source address that the kernel chooses for the host's own packets.
    """

    target: str
    gateway: str = ""
    interface: str = ""
    source: str = ""
    inbound: str = ""
    local: bool = False
    mtu: int = 0
    hoplimit: int = 0
    window: int = 0
    preferred: str = ""

    def __str__(self) -> str:
        if not self.interface:
            return f"{self.target} is unreachable"
        return f"{self.target} {f'via {self.gateway}' if self.gateway else 'directly'} dev {self.interface}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neighbour entry: `state` is the kernel's (REACHABLE, FAILED, PERMANENT ...); `mac` may be empty.

    `router`: in IPv6, whether the neighbour's advertisements have the router flag.
    """

    address: str
    interface: str
    mac: str
    state: str
    router: bool = False

    @property
    def is_static(self) -> bool:
        """Whether no ARP reply changes it."""
        return any(state in _UNVERIFIED for state in self.state.split())

    @property
    def is_permanent(self) -> bool:
        """Whether an administrator has entered it for good."""
        return _PERMANENT in self.state.split()

    def __str__(self) -> str:
        return f"{self.address} dev {self.interface} {f'lladdr {self.mac} ' if self.mac else ''}{self.state}"


@dataclass(frozen=True, slots=True)
class FilterRule:
    """A rule of nftables; `matches` are its expressions in nft's JSON.

    The policy of a chain is its last rule, without expressions and with handle 0. `changes` are the header
    fields that it sets, such as `ip ttl`.
    """

    family: str
    table: str
    chain: str
    hook: str
    priority: int
    handle: int
    verdict: str  # such as accept, drop, jump CHAIN, redirect PORT; empty if it only counts
    matches: tuple[Mapping[str, Any], ...] = ()
    text: str = ""
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrafficFilter:
    """A traffic-control filter on an interface, at the hook ingress or egress (tc(8))."""

    interface: str
    hook: str
    text: str
