"""A lab's network as values: nodes, switches and the cables between them.

`common_nodes` are shared by all three labs: two clients on the Internet, a router, the director on its LAN. A
lab adds its real servers. Nothing here builds anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from labs.network import addresses
from labs.network.addresses import Addressing


class Role(Enum):
    CLIENT = "client"
    ROUTER = "router"
    DIRECTOR = "director"
    SERVER = "real server"


@dataclass(frozen=True, slots=True)
class Interface:
    """A node's interface, the switch it is plugged into, and its address."""

    node: str
    name: str
    switch: str
    address: str
    prefix: int

    @property
    def mac(self) -> str:
        return addresses.mac_of(self.address)


@dataclass(frozen=True, slots=True)
class Node:
    """A node with its interfaces; the address of the first identifies it."""

    name: str
    role: Role
    interfaces: tuple[Interface, ...]

    @property
    def address(self) -> str:
        return self.interfaces[0].address


@dataclass(frozen=True, slots=True)
class Topology:
    """All nodes of a lab, in the order in which they are built."""

    nodes: tuple[Node, ...]

    @property
    def switches(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(interface.switch for interface in self.interfaces))

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces of all nodes."""
        return tuple(interface for node in self.nodes for interface in node.interfaces)

    def by_role(self, role: Role) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role is role)

    def is_client(self, name: str) -> bool:
        return name in {node.name for node in self.by_role(Role.CLIENT)}

    def neighbours(self, of: Interface) -> tuple[Interface, ...]:
        """The other interfaces on the same switch."""
        return tuple(other for other in self.interfaces if other.switch == of.switch and other != of)

    @property
    def directors(self) -> tuple[Node, ...]:
        return self.by_role(Role.DIRECTOR)

    @property
    def director(self) -> Node:
        """The only one, or the first of two."""
        return self.directors[0]

    @property
    def names_of_macs(self) -> dict[str, str]:
        """MAC -> name of the interface, for tables of frames."""
        return {interface.mac: interface.name for interface in self.interfaces}


INTERNET, LAN, PRIVATE = "s1", "s2", "s3"


def make_node(name: str, role: Role, *ports: tuple[str, str, int]) -> Node:
    """A node with one interface per switch port: (switch, address, prefix length)."""
    interfaces = tuple(Interface(name, f"{name}-eth{i}", *port) for i, port in enumerate(ports))
    return Node(name, role, interfaces)


def common_nodes(at: Addressing, *director_inside: tuple[str, str, int]) -> tuple[Node, ...]:
    """Clients, router and director; `director_inside` are further ports of the director."""
    prefix = at.prefix
    return (
        *(make_node(f"c{n}", Role.CLIENT, (INTERNET, at.client(n), prefix)) for n in (1, 2)),
        make_node(
            "r0",
            Role.ROUTER,
            (INTERNET, at.router_internet, prefix),
            (LAN, at.router_lan, prefix),
        ),
        make_node("d", Role.DIRECTOR, (LAN, at.dip, prefix), *director_inside),
    )
