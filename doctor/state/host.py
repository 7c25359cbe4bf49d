"""One host: its network, its processes and sockets, and what the lab's plan prescribes for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from doctor.state.network import (
    Address,
    FilterRule,
    Link,
    Neighbour,
    NextHop,
    Plug,
    PolicyRule,
    Route,
    TrafficFilter,
)

# As in labs/network/topology.py.
CLIENT, ROUTER, DIRECTOR, SERVER = "client", "router", "director", "real server"
ANY, ANY6, BOTH = "0.0.0.0", "::", "*"  # listens on all addresses, of one IP version or both
STOPPED = ("T", "t")  # states of a process, as in proc(5): by a signal, by a tracer


@dataclass(frozen=True, slots=True)
class Process:
    """A process in a host's network namespace; `state` as in proc(5), T for stopped (SIGSTOP).

    `tunnel`: it has a TUN device, as the user-space tunl0 does. `files` is the number of its open file
    descriptors, `most` its limit (RLIMIT_NOFILE; 0: unknown).
    """

    pid: int
    command: str
    state: str
    tunnel: bool = False
    files: int = 0
    most: int = 0

    @property
    def stopped(self) -> bool:
        return self.state in STOPPED


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens on `port` of `address`, and its process (`pid` 0: unknown).

    UNIX sockets have a path as `address`, and port 0.
    """

    protocol: str  # TCP, UDP or UNIX
    address: str
    port: int
    pid: int = 0
    program: str = ""
    process_state: str = ""  # as in Process

    @property
    def stopped(self) -> bool:
        """Whether its process is stopped: the kernel accepts connections, but nothing answers."""
        return self.process_state in STOPPED


@dataclass(frozen=True, slots=True)
class Site:
    """The files of a real server's httpd that differ from the original state.

    `changed` are lines of its configuration, `missing` and `altered` are files that it should serve;
    `unwritable` are folders with the reason, such as `logs: no space left`; `covered` are folders that are
    mount points. `versions` are the IP versions in which its daemons serve.
    """

    root: str = ""
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unwritable: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()
    versions: tuple[int, ...] = (4,)
    altered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """What the lab's plan prescribes for a host, besides its plugs.

    `gateway` is the next hop of its default route; `routes` are further ones. `vip_on` is the interface that
    holds the VIP, with prefix 32; only one host `answers_arp` for it. `ports` are those on which TCP servers
    listen.
    """

    gateway: str = ""
    routes: tuple[Route, ...] = ()
    vip_on: str = ""
    answers_arp: bool = False
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HostState:
    """One host; `error` is why it could not be read.

    `settings` are sysctls of net.ipv4 or net.ipv6 (`ip_forward`, `conf.all.rp_filter`); `ranges` are those
    of net.ipv4 that are ranges of ports; `counters` have nstat's names; `offloads` say for each interface
    whether TCP checksums are left to hardware.
    `legacy_tables` are the tables of iptables-legacy, whose rules nft does not list; `legacy_rules` are those
    rules, as iptables-legacy-save prints them if it is installed, each with its table. `ipsec` are IPsec
    policies (ip-xfrm(8)). `missing_rules` are the kernel's own policy rules that were deleted.
    """

    name: str
    role: str
    plugs: tuple[Plug, ...]
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    next_hops: tuple[NextHop, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    settings: Mapping[str, int] = field(default_factory=dict)
    offloads: Mapping[str, bool] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    filters: tuple[FilterRule, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    links: tuple[Link, ...] = ()
    processes: tuple[Process, ...] = ()
    planned: Planned = Planned()
    rules: tuple[PolicyRule, ...] = ()
    traffic_filters: tuple[TrafficFilter, ...] = ()
    site: Site = Site()
    legacy_tables: tuple[str, ...] = ()
    legacy_rules: tuple[str, ...] = ()
    ipsec: tuple[str, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict)
    missing_rules: tuple[PolicyRule, ...] = ()

    @property
    def main(self) -> Plug:
        """The host's first interface in the plan."""
        return self.plugs[0]

    @property
    def version(self) -> int:
        """The IP version in which it was read."""
        return 6 if ":" in self.main.address else 4

    def setting(self, name: str, interface: str) -> int:
        """The effective value for an interface: the larger of its own and that of `all`."""
        return max(self.settings.get(f"conf.{where}.{name}", 0) for where in ("all", interface))

    def setting_text(self, name: str, *interfaces: str) -> str:
        """`arp_ignore is 0 for all, 1 for lo`"""
        values = (
            f"{self.settings.get(f'conf.{interface}.{name}', 0)} for {interface}" for interface in interfaces
        )
        return f"{name} is {', '.join(values)}"

    def has(self, address: str) -> Address | None:
        """The host's entry for an address, if that is usable."""
        return next((held for held in self.addresses if held.address == address and held.works), None)

    def takes(self, address: str) -> bool:
        """Whether a local route makes it accept packets to an address that none of its interfaces has."""
        held = any(entry.address == address for entry in self.addresses)
        return not held and any(hop.local for hop in self.next_hops if hop.target == address)

    def next_hop(self, target: str, source: str = "", inbound: str = "") -> NextHop:
        """The kernel's answer to `ip route get TARGET from SOURCE iif INBOUND`."""
        asked = (target, source, inbound)
        found = (hop for hop in self.next_hops if (hop.target, hop.source, hop.inbound) == asked)
        return next(found, NextHop(target, source=source, inbound=inbound))

    def link(self, interface: str) -> Link | None:
        """An interface's actual state; None if it does not exist, or if links are unknown."""
        return next((link for link in self.links if link.interface == interface), None)

    def neighbour(self, address: str, interface: str) -> Neighbour | None:
        """The entry of its neighbour table."""
        found = (
            neighbour
            for neighbour in self.neighbours
            if (neighbour.address, neighbour.interface) == (address, interface)
        )
        return next(found, None)

    def mac(self, interface: str) -> str:
        """The MAC address of an interface: the actual one, or else the planned one."""
        link = self.link(interface)
        planned = (plug.mac for plug in self.plugs if plug.interface == interface)
        return link.mac if link and link.mac else next(planned, "")

    def macs(self, interface: str) -> set[str]:
        """Its MAC addresses there: the interface's own, and those of a macvlan or bridge on top of it."""
        planned = {plug.interface for plug in self.plugs}
        on_top = {link.mac for link in self.links if link.mac and link.interface not in planned}
        return {self.mac(interface), *on_top} - {""}

    def counter_text(self, name: str) -> str:
        """`; IpInAddrErrors is 7`, or "" if the counter is 0."""
        value = self.counters.get(name, 0)
        return f"; {name} is {value}" if value else ""

    def listener(self, address: str, port: int) -> Listener | None:
        """The socket that accepts TCP connections to that address and port."""
        found = [
            listener for listener in self.listeners if listener.protocol == "TCP" and listener.port == port
        ]
        places = (address, ANY6 if ":" in address else ANY, BOTH)
        return next((listener for place in places for listener in found if listener.address == place), None)

    def listens(self, address: str, port: int) -> bool:
        """Whether a socket accepts TCP connections to that address and port."""
        return self.listener(address, port) is not None
