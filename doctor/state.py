"""What the doctor has read of a lab that runs: values, no opinions.

A `LabState` is complete without the lab: it goes through JSON and back, so that causes are looked for
in the lab, in what somebody has handed in, and in tests by the same code.
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
ANY = "0.0.0.0"  # whoever listens there listens on all addresses


@dataclass(frozen=True, slots=True)
class Plug:
    """An interface as the plan has it, and the switch it is plugged into."""

    interface: str
    switch: str
    address: str
    prefix: int

    def reaches(self, address: str) -> bool:
        """Whether `address` is in its network."""
        return IPv4Address(address) in IPv4Interface(f"{self.address}/{self.prefix}").network


@dataclass(frozen=True, slots=True)
class Address:
    """`label` is the alias, such as lo:0; `up`, whether its interface is."""

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
    """A line of the main table; without `gateway`, a network that is reached directly."""

    destination: str
    gateway: str
    interface: str

    def __str__(self) -> str:
        by = f" via {self.gateway}" if self.gateway else ""
        return f"{self.destination}{by} dev {self.interface}"


@dataclass(frozen=True, slots=True)
class Way:
    """What the kernel would do with a packet to `target`; no `interface`: it knows no way."""

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
    """Somebody waits on `port` of `address`."""

    protocol: str  # TCP or UDP
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class FilterRule:
    """A rule of nftables in a base chain; `matches` are its expressions as nft prints them in JSON.

    A chain's policy comes last, as a rule without expressions and with handle 0.
    """

    family: str
    table: str
    chain: str
    hook: str
    priority: int
    handle: int
    verdict: str  # such as accept, drop, jump CHAIN, redirect PORT; empty where it only counts
    matches: tuple[Mapping[str, Any], ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class HostState:
    """One host; `error` says why nothing could be read of it.

    Settings are those of net.ipv4 by their names (`ip_forward`, `conf.all.rp_filter`), counters have
    nstat's names, `offloads` tell by interface whether TCP checksums are left to hardware.
    """

    name: str
    role: str
    plugs: tuple[Plug, ...]
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    ways: tuple[Way, ...] = ()
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
        """The interface that the host is known by."""
        return self.plugs[0]

    def setting(self, name: str, interface: str) -> int:
        """What counts for an interface: the larger of its own value and that of `all`."""
        return max(self.settings.get(f"conf.{each}.{name}", 0) for each in ("all", interface))

    def told(self, name: str, *interfaces: str) -> str:
        """`arp_ignore is 0 for all, 1 for lo`"""
        values = (f"{self.settings.get(f'conf.{each}.{name}', 0)} for {each}" for each in interfaces)
        return f"{name} is {', '.join(values)}"

    def has(self, address: str) -> Address | None:
        """Where it has an address that works."""
        return next((one for one in self.addresses if one.address == address and one.up), None)

    def way(self, target: str) -> Way:
        return next((way for way in self.ways if way.target == target), Way(target))

    def counted(self, name: str) -> str:
        """`, IpInAddrErrors is 7`; nothing where it has not counted."""
        value = self.counters.get(name, 0)
        return f"; {name} is {value}" if value else ""

    def listens(self, address: str, port: int) -> bool:
        """Whether a TCP connection to that end would find somebody."""
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
    """A virtual service: of a port of an address (0: of all ports), or of a firewall mark."""

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
    """Packets to these ports of `network` carry `mark`; ports 0 to 65535 are all."""

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
    """An entry of the director's table, ends as `address:port`; a template has the client's port 0."""

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
    """What the director's process says of itself; `error` is there instead where it does not answer."""

    engine: str = ""
    ftp_helper: bool = True
    timeouts: Mapping[str, int] = field(default_factory=dict)  # seconds of tcp, tcpfin, udp
    services: tuple[Service, ...] = ()
    marks: tuple[Mark, ...] = ()
    connections: tuple[Connection, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """A real server as the plan has it, with all the ports that its httpd listens on."""

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
        """The hosts of which something could be read."""
        return (host for host in self.hosts if host.role in roles and not host.error)

    @property
    def director_host(self) -> HostState:
        return next(host for host in self.hosts if host.role == DIRECTOR)

    @property
    def clients(self) -> tuple[Plug, ...]:
        """Where clients are plugged in."""
        return tuple(host.main for host in self.hosts if host.role == CLIENT)

    def server_name(self, address: str) -> str:
        """The real server that has the RIP, or the address."""
        return next((one.name for one in self.servers if one.address == address), address)

    def beside_the_vip(self) -> Iterator[HostState]:
        """The real servers that have the VIP and hear ARP requests for it."""
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
        """Raises ValueError for what is not the form of a state."""
        return load(cls, form)
