"""Build: the validated values in a node's set-up script.

One class per role. Every value that a template prints is a field or property here, so templates contain only
loops and names. An illegal value raises InvalidValue. Nothing here renders or runs anything.

    from director.core.decision import Method
    RealServerSetup(Method.NAT, "rs1", Interface("rs1-eth0", "172.16.0.2", 24),
                    gateway="172.16.0.1", vip="203.0.113.1")
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING

from director.core.real_server import Method
from director.formats.ipvsadm_words import endpoint
from realserver_setup import validators
from realserver_setup.errors import InvalidValue

_METHODS = (Method.NAT, Method.TUN, Method.DR)
TUNNEL, TUNNEL6 = "tunl0", "ip6tnl0"  # the names of the devices of these kernel modules
MODULES = {TUNNEL: "ipip", TUNNEL6: "ip6_tunnel"}
TUNNELS = {4: TUNNEL, 6: TUNNEL6}  # by the IP version of the outer packet


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface with an IPv4 or IPv6 address and its prefix length."""

    name: str
    address: str
    prefix: int

    def __post_init__(self) -> None:
        validators.interface("interface", self.name)
        validators.address_in_network("address", self.address, self.prefix)

    @property
    def network(self) -> validators.Network:
        return ip_interface(f"{self.address}/{self.prefix}").network

    @property
    def netmask(self) -> str:
        return str(self.network.netmask)

    @property
    def broadcast(self) -> str:
        return str(self.network.broadcast_address)

    @property
    def sysctl(self) -> str:
        """The name for sysctl(8), which separates with dots: a dot becomes a slash."""
        return self.name.replace(".", "/")


@dataclass(frozen=True, slots=True)
class Route:
    """A route to `destination` (`default`, or address/prefix) through the router `gateway`."""

    destination: str
    gateway: str

    def __post_init__(self) -> None:
        validators.destination("destination", self.destination)
        validators.address("gateway", self.gateway)

    @property
    def network(self) -> str:
        return self.destination.partition("/")[0]

    @property
    def netmask(self) -> str:
        return str(ip_network(self.destination).netmask)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: the director may forward connections to `port` of the VIP to `server`:`server_port`."""

    protocol: str  # tcp or udp
    port: int
    server: str
    server_port: int
    weight: int | None = None  # None: no -w, as in the published rules, which means 1

    def __post_init__(self) -> None:
        validators.one_of("protocol", self.protocol, ("tcp", "udp"))
        validators.port("port", self.port)
        validators.address("server", self.server)
        validators.port("server_port", self.server_port)
        if self.weight is not None:
            validators.weight("weight", self.weight)

    @property
    def option(self) -> str:
        """The protocol as an option of ippfvsadm."""
        return "-t" if self.protocol == "tcp" else "-u"

    @property
    def options(self) -> tuple[str, ...]:
        """The options after the server: the weight, unless it is 1."""
        return () if self.weight in (None, 1) else ("-w", str(self.weight))

    def words(self, vip: str) -> tuple[str, ...]:
        """The arguments of ippfvsadm that add the rule to the director of `vip`."""
        virtual, real = endpoint(vip, self.port), endpoint(self.server, self.server_port)
        return ("-A", self.option, virtual, "-R", real, *self.options)


class Line(str):
    """A line of a here-document in a script, which is not quoted: ippfvsadm reads it, not the shell."""

    __slots__ = ()


class Host:
    """The common part of the set-ups of all roles.

    In a lab with IPv4 and IPv6, a host has a set-up and a script for each version (`dual`).
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def interfaces(self) -> tuple[Interface, ...]: ...

        @property
        def dual(self) -> bool: ...

    @property
    def version(self) -> int:
        return self.interfaces[0].network.version

    @property
    def is_second(self) -> bool:
        """Whether it is the IPv6 set-up of a host with two; the names of its scripts end in 6."""
        return self.dual and self.version == 6

    @property
    def tunnel(self) -> str:
        """The device that decapsulates packets in VS-TUN."""
        return TUNNELS[self.version]


@dataclass(frozen=True, slots=True)
class RealServerSetup(Host):
    """A real server: its interface, its gateway, and the VIP.

    In VS-NAT the gateway is the director, which rewrites the replies. In VS-TUN and VS-DR it is the router of
    the server's own network, and the server also has the VIP.
    """

    method: Method
    name: str
    interface: Interface
    gateway: str
    vip: str
    http_port: int = 80
    dual: bool = False

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise InvalidValue("method", "NAT, TUN or DR", self.method)
        validators.host_name("name", self.name)
        validators.neighbour("gateway", self.gateway, self.interface.network, self.interface.address)
        _check_vip(self.vip, self.interface.address)
        validators.port("http_port", self.http_port)

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        return (self.interface,)

    @property
    def serving_address(self) -> str:
        """The destination of the requests that it receives: its RIP in VS-NAT, else the VIP."""
        return self.interface.address if self.method is Method.NAT else self.vip


@dataclass(frozen=True, slots=True)
class DirectorSetup(Host):
    """The director: the VIP on an alias of `outside`; `inside` only if it connects two networks.

    Without `owns_vip`, the set-up does not add the VIP: of two directors, the active one gets it at run time.
    """

    method: Method
    name: str
    vip: str
    outside: Interface
    inside: Interface | None
    gateway: str
    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    owns_vip: bool = True
    dual: bool = False
    # the same host's set-up with the other IP version; rules.sh has its rules too
    second: DirectorSetup | None = None

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise InvalidValue("method", "NAT, TUN or DR", self.method)
        validators.host_name("name", self.name)
        validators.aliased_interface("outside", self.outside.name)
        _check_distinct(self.interfaces)
        _check_vip(self.vip, *(interface.address for interface in self.interfaces))
        validators.neighbour("gateway", self.gateway, self.outside.network, self.outside.address)
        _check_routes(self.routes, self.interfaces)
        _check_rules(self.rules, self.method, self.vip)

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        return (self.outside,) if self.inside is None else (self.outside, self.inside)

    @property
    def commands(self) -> tuple[tuple[str, ...], ...]:
        """The arguments of ippfvsadm for each rule."""
        own = tuple(rule.words(self.vip) for rule in self.rules)
        return (*own, *self.second.commands) if self.second else own

    @property
    def lines(self) -> tuple[Line, ...]:
        """`commands` as lines of a here-document."""
        return tuple(Line(" ".join(command)) for command in self.commands)


@dataclass(frozen=True, slots=True)
class RouterSetup(Host):
    """A router between its interfaces, with static routes."""

    name: str
    interfaces: tuple[Interface, ...]
    routes: tuple[Route, ...] = ()
    dual: bool = False

    def __post_init__(self) -> None:
        validators.host_name("name", self.name)
        _check_distinct(self.interfaces)
        _check_routes(self.routes, self.interfaces)


@dataclass(frozen=True, slots=True)
class ClientSetup(Host):
    """A client: it has a default route, and no configuration for virtual servers."""

    name: str
    interface: Interface
    gateway: str
    dual: bool = False

    def __post_init__(self) -> None:
        validators.host_name("name", self.name)
        validators.neighbour("gateway", self.gateway, self.interface.network, self.interface.address)

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        return (self.interface,)


Setup = RealServerSetup | DirectorSetup | RouterSetup | ClientSetup


def _check_vip(vip: str, *own: str) -> None:
    if validators.same_family("vip", vip, own[0]) in own:
        raise InvalidValue("vip", "an address other than the node's own", vip)


def _check_distinct(interfaces: tuple[Interface, ...]) -> None:
    names = [interface.name for interface in interfaces]
    if not names or len(set(names)) < len(names):
        raise InvalidValue("interfaces", "at least one, each name once", names)


def _check_routes(routes: tuple[Route, ...], interfaces: tuple[Interface, ...]) -> None:
    """Require each gateway to be on a network of the node, and destinations to be unique."""
    for route in routes:
        if not any(ip_address(route.gateway) in interface.network for interface in interfaces):
            networks = ", ".join(str(interface.network) for interface in interfaces)
            raise InvalidValue("gateway", f"a host of {networks}", route.gateway)
    destinations = [route.destination for route in routes]
    if len(set(destinations)) < len(destinations):
        raise InvalidValue("routes", "each destination once", destinations)


def _check_rules(rules: tuple[Rule, ...], method: Method, vip: str) -> None:
    """Require equal ports except in VS-NAT: only it rewrites them; and one IP version except in VS-TUN."""
    for rule in rules:
        if method is not Method.TUN:
            validators.same_family("server", rule.server, vip)
        if method is not Method.NAT and rule.server_port != rule.port:
            raise InvalidValue(
                "server_port", f"{rule.port}: only VS-NAT can change the port", rule.server_port
            )
