"""A director: its rules, its connection table, and the additional state of one of two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface

from director.formats.ipvsadm_words import endpoint
from doctor.state.host import Process


@dataclass(frozen=True, slots=True)
class Target:
    """A real server in a rule.

    `upper` and `lower` are its thresholds, 0 for none; `active` and `inactive` are its connections.
    """

    address: str
    port: int
    weight: int
    method: str = ""  # Masq, Tunnel, Route or Local
    upper: int = 0
    lower: int = 0
    active: int = 0
    inactive: int = 0

    @property
    def full(self) -> bool:
        """Whether it has reached its upper threshold, and gets no new connections."""
        return 0 < self.upper <= self.active + self.inactive

    def __str__(self) -> str:
        return endpoint(self.address, self.port)


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
        return f"FWM {self.mark}" if self.mark else f"{self.protocol} {endpoint(self.address, self.port)}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Packets to these ports of `network` get `mark`; 0 to 65535 means all ports."""

    mark: int
    network: str
    protocol: str
    first: int
    last: int

    def covers(self, address: str, port: int) -> bool:
        inside = ip_address(address) in ip_interface(self.network).network
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
    """The director's own report, or the `error` if it does not answer.

    `entries` is the number of entries in the connection table, with templates; `limit` is the largest number
    allowed (0: unknown). `connections` are some of the entries.
    """

    engine: str = ""
    ftp_helper: bool = True
    timeouts: Mapping[str, int] = field(default_factory=dict)  # seconds of tcp, tcpfin, udp
    services: tuple[Service, ...] = ()
    marks: tuple[Mark, ...] = ()
    connections: tuple[Connection, ...] = ()
    error: str = ""
    entries: int = 0
    limit: int = 0
    sysctls: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_kernel_ipvs(self) -> bool:
        """Whether packets pass the host's own packet filter and routing: the other engines bypass both."""
        return self.engine == "ipvs"

    @property
    def full(self) -> bool:
        return 0 < self.limit <= self.entries


@dataclass(frozen=True, slots=True)
class SyncDaemon:
    """A running sync daemon; `role` is master or backup."""

    role: str
    interface: str
    syncid: int

    def __str__(self) -> str:
        return f"{self.role} on {self.interface} with syncid {self.syncid}"


@dataclass(frozen=True, slots=True)
class Down:
    """A real server that a director's checks have taken out of service, and `why`."""

    address: str
    port: int
    why: str


@dataclass(frozen=True, slots=True)
class Paired:
    """One of two directors.

    `settings` are its virtual router's settings in its configuration file, by keepalived.conf's keywords;
    `planned` are the plan's. `error`: why the file cannot be used. Its sync daemon should run on `sync_on`
    (empty: none is planned) with `syncid`. `path` is the page that its http checks request; `other_ports` are
    ports that checks connect to although the real server serves on a different one.
    """

    name: str
    director: DirectorState = DirectorState()
    process: Process | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    planned: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    daemons: tuple[SyncDaemon, ...] = ()
    sync_on: str = ""
    syncid: int = 0
    down: tuple[Down, ...] = ()
    path: str = ""
    other_ports: tuple[int, ...] = ()

    @property
    def asked(self) -> str:
        """The pages that its checks request, and the ports other than the servers' own."""
        return ", ".join([*self.path.split(), *(f"port {port}" for port in self.other_ports)])

    @property
    def differences(self) -> dict[str, tuple[str, str]]:
        """Settings that differ from the plan: name -> (planned, actual)."""
        names = (*self.planned, *(name for name in self.settings if name not in self.planned))
        both = {name: (self.planned.get(name, ""), self.settings.get(name, "")) for name in names}
        return {name: pair for name, pair in both.items() if pair[0] != pair[1]} if self.settings else {}
