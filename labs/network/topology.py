"""A lab's network as values: machines, switches and the cables between them.

`front` is what all three labs share: two clients on the Internet, a router, the director on
its LAN. A lab adds its real servers. Nothing here builds anything.
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
class Leg:
    """A host's interface, the switch it is plugged into, and its address."""

    host: str
    interface: str
    switch: str
    address: str
    prefix: int

    @property
    def mac(self) -> str:
        return addresses.mac_of(self.address)


@dataclass(frozen=True, slots=True)
class Machine:
    """A host with its legs; the first is the one it is known by."""

    name: str
    role: Role
    legs: tuple[Leg, ...]

    @property
    def address(self) -> str:
        return self.legs[0].address


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that has to be plugged together, in the order in which it is built."""

    machines: tuple[Machine, ...]

    @property
    def switches(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(leg.switch for machine in self.machines for leg in machine.legs))

    def by_role(self, role: Role) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.role is role)

    def is_client(self, name: str) -> bool:
        return name in {machine.name for machine in self.by_role(Role.CLIENT)}

    def neighbours(self, of: Leg) -> tuple[Leg, ...]:
        """The other legs that are plugged into the same switch."""
        legs = (leg for machine in self.machines for leg in machine.legs)
        return tuple(leg for leg in legs if leg.switch == of.switch and leg != of)

    @property
    def director(self) -> Machine:
        return self.by_role(Role.DIRECTOR)[0]

    @property
    def names_of_macs(self) -> dict[str, str]:
        """MAC -> interface name, for people who read a table of frames."""
        return {leg.mac: leg.interface for machine in self.machines for leg in machine.legs}


INTERNET, LAN, PRIVATE = "s1", "s2", "s3"


def machine(name: str, role: Role, *plugs: tuple[str, str, int]) -> Machine:
    """A machine with one interface per plug: (switch, address, prefix length)."""
    legs = tuple(Leg(name, f"{name}-eth{i}", *plug) for i, plug in enumerate(plugs))
    return Machine(name, role, legs)


def front(at: Addressing, *director_inside: tuple[str, str, int]) -> tuple[Machine, ...]:
    """Clients, router and director; `director_inside` are further plugs of the director."""
    prefix = addresses.PREFIX
    return (
        *(machine(f"c{n}", Role.CLIENT, (INTERNET, at.client(n), prefix)) for n in (1, 2)),
        machine(
            "r0",
            Role.ROUTER,
            (INTERNET, addresses.ROUTER_INTERNET, prefix),
            (LAN, addresses.ROUTER_LAN, prefix),
        ),
        machine("d", Role.DIRECTOR, (LAN, at.dip, prefix), *director_inside),
    )
