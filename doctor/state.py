"""The state of a running lab as the doctor reads it: facts only.

A `LabState` is complete without the lab and can be written as JSON: the same code finds causes in a running
lab, in a submission and in tests. What should be stands beside what is:

    what is                                        what the plan prescribes
    HostState.links, .addresses (with prefix)      HostState.plugs: interface, switch, address, prefix, MAC
    HostState.routes, .next_hops                   HostState.planned.gateway, .planned.routes
    HostState.addresses with the VIP, .settings    HostState.planned.vip_on, .planned.answers_arp
    HostState.neighbours, complete, with state     LabState.owners(switch, address), and their MACs
    HostState.listeners, each with its process     HostState.planned.ports
    HostState.processes, the director's too        LabState.director_process
    DirectorState.services: weight, thresholds     LabState.servers: name, address, ports, weight
    DirectorState.entries                          DirectorState.limit
    LabState.trials: what clients get              all of them SERVED
    Paired.settings, .daemons                      Paired.planned, .sync_on, .syncid

Fields that older submissions lack have defaults: no links, no trials and no process mean "not known", so a
cause that needs them says nothing there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address, ip_interface
from typing import Any

from director.formats.dataclass_json import load
from director.formats.ipvsadm_words import endpoint

CLIENT, ROUTER, DIRECTOR, SERVER = (
    "client",
    "router",
    "director",
    "real server",
)  # as in network/topology
ANY, ANY6, BOTH = "0.0.0.0", "::", "*"  # listens on all addresses, of one IP version or both
STOPPED = ("T", "t")  # states of a process, as in proc(5): by a signal, by a tracer
_UNVERIFIED = ("PERMANENT", "NOARP")  # states of neighbour entries that no ARP reply changes

# How a trial ended. RESET: also closed without an answer. FAILED: the answer is an error, such as 404.
# WRONG_SERVER: another than the one whose address was used, or none of this lab.
SERVED, REFUSED, RESET, TIMED_OUT, UNREACHABLE, FAILED, WRONG_SERVER = (
    "served",
    "refused",
    "reset",
    "timed out",
    "unreachable",
    "answered with an error",
    "wrong server",
)
IN, OUT, OTHERS = "in", "out", "for another MAC"  # which way a frame passed an interface
NOTHING = "nothing"  # instead of a packet: none of this trial has left its host


@dataclass(frozen=True, slots=True)
class Plug:
    """An interface in the lab's plan, and the switch it is plugged into."""

    interface: str
    switch: str
    address: str
    prefix: int
    mac: str = ""

    def reaches(self, address: str) -> bool:
        """Whether `address` is in its network."""
        return ip_address(address) in ip_interface(f"{self.address}/{self.prefix}").network


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as it is. `carrier` is False where nothing is on the other end.

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

    @property
    def works(self) -> bool:
        return self.up and self.carrier


@dataclass(frozen=True, slots=True)
class Address:
    """`label` is the alias, such as lo:0; `up` is the state of the interface.

    `detection` is that of duplicates in IPv6: tentative or dadfailed as long as the address can't be used.
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
        return self.up and not self.detection

    def __str__(self) -> str:
        down = "" if self.up else ", which is down"
        down += f" ({self.detection})" if self.detection else ""
        return f"{self.address}/{self.prefix} on {self.label or self.interface}{down}"


@dataclass(frozen=True, slots=True)
class Route:
    """A line of the main routing table; without `gateway`, a directly connected network.

    `kind` is empty for an ordinary one, else blackhole, unreachable, prohibit.
    """

    destination: str
    gateway: str
    interface: str
    kind: str = ""

    def __str__(self) -> str:
        kind = f"{self.kind} " if self.kind else ""
        by = f" via {self.gateway}" if self.gateway else ""
        dev = f" dev {self.interface}" if self.interface else ""
        return f"{kind}{self.destination}{by}{dev}"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A rule of policy routing besides the kernel's own three (ip-rule(8)); `text` as `ip` prints it."""

    priority: int
    text: str

    def __str__(self) -> str:
        return f"{self.priority}: {self.text}"


@dataclass(frozen=True, slots=True)
class NextHop:
    """The kernel's next hop for packets to `target`; without `interface` there is no route.

    `source` and `inbound`: for packets with that source address, received on that interface. `local`: they
    are delivered to this host. `mtu` and `hoplimit` are those of the route, if it has ones of its own.
    """

    target: str
    gateway: str = ""
    interface: str = ""
    source: str = ""
    inbound: str = ""
    local: bool = False
    mtu: int = 0
    hoplimit: int = 0

    def __str__(self) -> str:
        if not self.interface:
            return f"{self.target} is unreachable"
        return f"{self.target} {f'via {self.gateway}' if self.gateway else 'directly'} dev {self.interface}"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """`state` is the kernel's: REACHABLE, STALE, FAILED, INCOMPLETE, PERMANENT ...; `mac` may be empty.

    `router`: in IPv6, whether it has said that it is one.
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

    def __str__(self) -> str:
        return f"{self.address} dev {self.interface} {f'lladdr {self.mac} ' if self.mac else ''}{self.state}"


@dataclass(frozen=True, slots=True)
class Process:
    """A process in a host's network namespace; `state` is that of proc(5), T for stopped (SIGSTOP).

    `tunnel`: it has a TUN device, as the user-space tunl0 does. `files` are its open file descriptors, of
    which it may have `most` (RLIMIT_NOFILE; 0: not known).
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
    """A socket that listens on `port` of `address`, and the process that has it: `pid` 0 if not known.

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
        """Whether its process is: the kernel accepts connections, and nobody answers."""
        return self.process_state in STOPPED


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
    """A filter of traffic control on an interface, at the hook ingress or egress (tc(8))."""

    interface: str
    hook: str
    text: str


@dataclass(frozen=True, slots=True)
class Site:
    """What the httpd of a real server works with, where that is not as it was at first.

    `changed` are lines of its configuration, `missing` are files that it serves; `unwritable` are folders
    with the reason, such as `logs: no space left`.
    """

    root: str = ""
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unwritable: tuple[str, ...] = ()


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

    `settings` are those of net.ipv4 (`ip_forward`, `conf.all.rp_filter`), `counters` have nstat's names,
    `offloads` say for each interface whether TCP checksums are left to hardware. `legacy_tables` are those of
    the older iptables, whose rules nft does not list; `legacy_rules` are these as iptables-legacy-save prints
    them, each with its table, if it is installed. `ipsec` are policies of IPsec (ip-xfrm(8)).
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

    @property
    def main(self) -> Plug:
        """The host's first interface in the plan."""
        return self.plugs[0]

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
        """The host's entry for an address, if it can be used."""
        return next((held for held in self.addresses if held.address == address and held.works), None)

    def next_hop(self, target: str, source: str = "", inbound: str = "") -> NextHop:
        """The kernel's answer to `ip route get TARGET from SOURCE iif INBOUND`."""
        asked = (target, source, inbound)
        found = (hop for hop in self.next_hops if (hop.target, hop.source, hop.inbound) == asked)
        return next(found, NextHop(target, source=source, inbound=inbound))

    def link(self, interface: str) -> Link | None:
        """An interface as it is; None if it is gone, or where links are not known."""
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
        """The MAC address of an interface: as it is, else as planned."""
        link = self.link(interface)
        planned = (plug.mac for plug in self.plugs if plug.interface == interface)
        return link.mac if link and link.mac else next(planned, "")

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
    """The director's report of itself, or the `error` if it does not answer.

    `entries` of the connection table, with templates, are in use; `limit` is how many it may have (0: not
    known). `connections` are some of them.
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
    def full(self) -> bool:
        return 0 < self.limit <= self.entries


@dataclass(frozen=True, slots=True)
class SyncDaemon:
    """A synchronisation daemon as it runs: `role` is master or backup."""

    role: str
    interface: str
    syncid: int

    def __str__(self) -> str:
        return f"{self.role} on {self.interface} with syncid {self.syncid}"


@dataclass(frozen=True, slots=True)
class Down:
    """A real server that the checks of a director have taken out of service, and `why`."""

    address: str
    port: int
    why: str


@dataclass(frozen=True, slots=True)
class Paired:
    """One of two directors.

    `settings` are those of its virtual router, by the words of keepalived.conf, as its file has them;
    `planned` as the plan has them. `error`: the file can't be used. Its synchronisation daemon should run on
    `sync_on`, with `syncid`; empty: none is planned. `path` is what its checks of http ask for, `other_ports`
    are ports that checks connect to although the real server serves on another one.
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
        """What its checks ask for: pages, and ports other than the servers' own."""
        return ", ".join([*self.path.split(), *(f"port {port}" for port in self.other_ports)])

    @property
    def differences(self) -> dict[str, tuple[str, str]]:
        """Settings that are not as planned: what they should be, and what they are."""
        names = (*self.planned, *(name for name in self.settings if name not in self.planned))
        both = {name: (self.planned.get(name, ""), self.settings.get(name, "")) for name in names}
        return {name: pair for name, pair in both.items() if pair[0] != pair[1]} if self.settings else {}


@dataclass(frozen=True, slots=True)
class PlannedServer:
    """A real server in the lab's plan, with all ports of its httpd."""

    name: str
    address: str
    ports: tuple[int, ...]
    weight: int
    ftp: bool = False


@dataclass(frozen=True, slots=True)
class Sighting:
    """A packet of a trial as it passed an interface; `way` is IN, OUT or OTHERS.

    `what` is SYN, SYN+ACK, RST, FIN, data, long data, ACK, an ICMP error, an ARP request or reply, a
    lost ACK, or NOTHING. `tunnel` is the destination of the packet around it, if any.
    """

    host: str
    interface: str
    way: str
    what: str
    source: str
    dest: str
    tunnel: str = ""

    def __str__(self) -> str:
        inside = f" inside a packet to {self.tunnel}" if self.tunnel else ""
        return f"{self.what} {self.source} > {self.dest}{inside} {self.way} on {self.interface}"


@dataclass(frozen=True, slots=True)
class Trial:
    """A TCP connection that the doctor tried from `host`, from `source_port`, and how it ended.

    `server` is who answered, by name; `wanted` is the real server that a trial past the rules addressed,
    empty for one of a client to the VIP. `connected`: the handshake succeeded. `seen` is where its packets
    passed, in order; it is recorded only where trials fail. `resent`: it was served, but a packet had been
    lost before; `seen` is then how far the packets before that came. `usual`: as clients do it, from a port
    that the kernel chose. `long`: its request and its answer fill packets.
    """

    host: str
    address: str
    port: int
    outcome: str
    server: str = ""
    wanted: str = ""
    source_port: int = 0
    connected: bool = False
    detail: str = ""
    seen: tuple[Sighting, ...] = ()
    resent: bool = False
    usual: bool = False
    long: bool = False

    @property
    def served(self) -> bool:
        return self.outcome == SERVED

    def __str__(self) -> str:
        by = f" by {self.server}" if self.server else ""
        return f"{self.host} to {endpoint(self.address, self.port)}: {self.outcome}{by}"


@dataclass(frozen=True, slots=True)
class LabState:
    """`method` is nat, tun or dr. `director` is the active one, on host `active`, where there is a `pair`.

    The addresses in `moving` belong to the active one, too.
    """

    lab: str
    method: str
    vip: str
    dip: str
    servers: tuple[PlannedServer, ...]
    hosts: tuple[HostState, ...]
    director: DirectorState = DirectorState()
    trials: tuple[Trial, ...] = ()
    director_process: Process | None = None
    pair: tuple[Paired, ...] = ()
    active: str = ""
    moving: tuple[str, ...] = ()

    @property
    def version(self) -> int:
        """That of IP."""
        return 6 if ":" in self.vip else 4

    @property
    def whole(self) -> int:
        """The length of a prefix that is one address."""
        return 128 if self.version == 6 else 32

    def by_role(self, *roles: str) -> Iterator[HostState]:
        """The hosts with these roles that could be read."""
        return (host for host in self.hosts if host.role in roles and not host.error)

    @property
    def director_host(self) -> HostState:
        directors = [host for host in self.hosts if host.role == DIRECTOR]
        return next((host for host in directors if host.name == self.active), directors[0])

    @property
    def directors(self) -> tuple[tuple[HostState, DirectorState, Process | None], ...]:
        """Each director with its host, its report and its process."""
        if not self.pair:
            return ((self.director_host, self.director, self.director_process),)
        found = ((self.host(director.name), director) for director in self.pair)
        return tuple((host, director.director, director.process) for host, director in found if host)

    @property
    def vip_owners(self) -> tuple[str, ...]:
        """The directors that have the VIP."""
        return tuple(host.name for host, _, _ in self.directors if host.has(self.vip))

    @property
    def clients(self) -> tuple[Plug, ...]:
        """The interfaces of the clients."""
        return tuple(host.main for host in self.hosts if host.role == CLIENT)

    @property
    def client_trials(self) -> tuple[Trial, ...]:
        """What clients get of the VIP."""
        return tuple(trial for trial in self.trials if not trial.wanted)

    @property
    def failures(self) -> tuple[Trial, ...]:
        """The clients' trials that were not served."""
        return tuple(trial for trial in self.client_trials if not trial.served)

    @property
    def resent(self) -> tuple[Trial, ...]:
        """The trials that were served at a second attempt: packets get lost."""
        return tuple(trial for trial in self.trials if trial.served and trial.resent)

    @property
    def troubled(self) -> tuple[Trial, ...]:
        """The trials that show that clients are not served, or not at once: the clients' own come first."""
        return (*(self.failures or self.silent_servers), *self.resent)

    @property
    def silent_servers(self) -> tuple[Trial, ...]:
        """Failed trials past the rules: of real servers that get connections, and served no client."""
        served = {trial.server for trial in self.client_trials if trial.served}
        used = {
            target.address
            for service in self.director.services
            for target in service.targets
            if target.weight > 0
        }
        return tuple(
            trial
            for trial in self.trials
            if trial.wanted and not trial.served and trial.wanted not in served and trial.address in used
        )

    def host(self, name: str) -> HostState | None:
        return next((host for host in self.hosts if host.name == name), None)

    def on_switch(self, switch: str) -> Iterator[tuple[HostState, Plug]]:
        """The hosts that are plugged into a switch, each with its plug."""
        for host in self.hosts:
            yield from ((host, plug) for plug in host.plugs if plug.switch == switch)

    def owners(self, switch: str, address: str) -> list[tuple[HostState, Plug]]:
        """Who of a segment has `address` on an interface that is up, whether or not it answers ARP."""
        return [(host, plug) for host, plug in self.on_switch(switch) if host.has(address)]

    def owner_of_mac(self, switch: str, mac: str) -> tuple[HostState, Plug] | None:
        """Who of a segment receives frames for `mac`."""
        found = ((host, plug) for host, plug in self.on_switch(switch) if host.mac(plug.interface) == mac)
        return next(found, None)

    def server_name(self, address: str) -> str:
        """The name of the real server with this RIP, or the address itself."""
        return next((server.name for server in self.servers if server.address == address), address)

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


def states_of(answer: Mapping[str, Any]) -> list[LabState]:
    """Those in the answer of a lab's control socket: one for each IP version. Raises ValueError."""
    return [LabState.from_dict(form) for form in (answer["state"], *answer.get("more", ()))]
