"""The state of a running lab as the doctor reads it: facts only.

A `LabState` is complete without the lab and can be written as JSON: the same code finds causes in a running
lab, in a submission and in tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from director.formats.dataclass_json import load

CLIENT, ROUTER, DIRECTOR, SERVER = (
    "client",
    "router",
    "director",
    "real server",
)  # as in network/topology
ANY = "0.0.0.0"  # listens on all addresses


@dataclass(frozen=True, slots=True)
class Plug:
    """An interface in the lab's plan, and the switch it is plugged into."""

    interface: str
    switch: str
    address: str
    prefix: int

    def reaches(self, address: str) -> bool:
        """Whether `address` is in its network."""
        return IPv4Address(address) in IPv4Interface(f"{self.address}/{self.prefix}").network


@dataclass(frozen=True, slots=True)
class Address:
    """`label` is the alias, such as lo:0; `up` is the state of the interface."""

    interface: str
    address: str
    prefix: int
    label: str = ""
    scope: str = "global"
    up: bool = True

    def __str__(self) -> str:
        down = "" if self.up else ", which is down"
        return f"{self.address}/{self.prefix} on {self.label or self.interface}{down}"


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the main routing table; without `gateway`, a directly connected network."""

    destination: str
    gateway: str
    interface: str

    def __str__(self) -> str:
        by = f" via {self.gateway}" if self.gateway else ""
        return f"{self.destination}{by} dev {self.interface}"


@dataclass(frozen=True, slots=True)
class NextHop:
    """The kernel's next hop for packets to `target`; without `interface` there is no route."""

    target: str
    gateway: str = ""
    interface: str = ""

    def __str__(self) -> str:
        if not self.interface:
            return f"{self.target} is unreachable"
        return f"{self.target} {f'via {self.gateway}' if self.gateway else 'directly'} dev {self.interface}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    address: str
    interface: str
    mac: str
    state: str


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens on `port` of `address`."""

    protocol: str  # TCP or UDP
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class FilterRule:
    """A rule of nftables; `matches` are its expressions in nft's JSON.

    The policy of a chain is its last rule, without expressions and with handle 0.
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


@dataclass(frozen=True, slots=True)
class HostState:
    """One host; `error` is why it could not be read.

    `settings` are those of net.ipv4 (`ip_forward`, `conf.all.rp_filter`), `counters` have nstat's names,
    `offloads` say for each interface whether TCP checksums are left to hardware.
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

    @property
    def main(self) -> Plug:
        """The host's first interface in the plan."""
        return self.plugs[0]

    def setting(self, name: str, interface: str) -> int:
        """The effective value for an interface: the larger of its own and that of `all`."""
        return max(self.settings.get(f"conf.{where}.{name}", 0) for where in ("all", interface))

    def setting_text(self, name: str, *interfaces: str) -> str:
        """`arp_ignore is 0 for all, 1 for lo`"""
        values = (f"{self.settings.get(f'conf.{each}.{name}', 0)} for {each}" for each in interfaces)
        return f"{name} is {', '.join(values)}"

    def has(self, address: str) -> Address | None:
        """The host's entry for an address, if its interface is up."""
        return next((one for one in self.addresses if one.address == address and one.up), None)

    def next_hop(self, target: str) -> NextHop:
        return next((next_hop for next_hop in self.next_hops if next_hop.target == target), NextHop(target))

    def counter_text(self, name: str) -> str:
        """`; IpInAddrErrors is 7`, or "" if the counter is 0."""
        value = self.counters.get(name, 0)
        return f"; {name} is {value}" if value else ""

    def listens(self, address: str, port: int) -> bool:
        """Whether a socket accepts TCP connections to that address and port."""
        ends = {(one.address, one.port) for one in self.listeners if one.protocol == "TCP"}
        return (address, port) in ends or (ANY, port) in ends


@dataclass(frozen=True, slots=True)
class Target:
    """A real server in a rule."""

    address: str
    port: int
    weight: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Service:
    """A virtual service: a port of an address (0: all ports), or a firewall mark."""

    protocol: str  # TCP, UDP or FWM
    address: str
    port: int
    mark: int
    scheduler: str
    persistent: int  # seconds, 0 for none
    targets: tuple[Target, ...] = ()
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"FWM {self.mark}" if self.mark else f"{self.protocol} {self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Packets to these ports of `network` get `mark`; 0 to 65535 means all ports."""

    mark: int
    network: str
    protocol: str
    first: int
    last: int

    def covers(self, address: str, port: int) -> bool:
        inside = IPv4Address(address) in IPv4Interface(self.network).network
        return inside and self.protocol.upper() != "UDP" and self.first <= port <= self.last


@dataclass(frozen=True, slots=True)
class Connection:
    """An entry of the director's connection table; ends are `address:port`, a template's client port is 0."""

    protocol: str
    client: str
    vip: str
    server: str
    state: str
    expires: float

    @property
    def is_template(self) -> bool:
        return self.client.endswith(":0")


@dataclass(frozen=True, slots=True)
class DirectorState:
    """The director's report of itself, or the `error` if it does not answer."""

    engine: str = ""
    ftp_helper: bool = True
    timeouts: Mapping[str, int] = field(default_factory=dict)  # seconds of tcp, tcpfin, udp
    services: tuple[Service, ...] = ()
    marks: tuple[Mark, ...] = ()
    connections: tuple[Connection, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """A real server in the lab's plan, with all ports of its httpd."""

    name: str
    address: str
    ports: tuple[int, ...]
    weight: int


@dataclass(frozen=True, slots=True)
class LabState:
    """`method` is nat, tun or dr."""

    lab: str
    method: str
    vip: str
    dip: str
    servers: tuple[PlannedServer, ...]
    hosts: tuple[HostState, ...]
    director: DirectorState = DirectorState()

    def by_role(self, *roles: str) -> Iterator[HostState]:
        """The hosts with these roles that could be read."""
        return (host for host in self.hosts if host.role in roles and not host.error)

    @property
    def director_host(self) -> HostState:
        return next(host for host in self.hosts if host.role == DIRECTOR)

    @property
    def clients(self) -> tuple[Plug, ...]:
        """The interfaces of the clients."""
        return tuple(host.main for host in self.hosts if host.role == CLIENT)

    def server_name(self, address: str) -> str:
        """The name of the real server with this RIP, or the address itself."""
        return next((one.name for one in self.servers if one.address == address), address)

    def servers_on_director_segment(self) -> Iterator[HostState]:
        """The real servers on the director's segment that have the VIP."""
        if self.method != "nat":
            switch = self.director_host.main.switch
            for host in self.by_role(SERVER):
                if host.main.switch == switch and host.has(self.vip):
                    yield host

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, form: Mapping[str, Any]) -> LabState:
        """Raises ValueError if the JSON is not a state."""
        return load(cls, form)
