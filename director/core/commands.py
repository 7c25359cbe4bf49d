"""The commands that change the rules: one model for all administration tools.

ippfvsadm (1999), ipvsadm, fwmark and ipvs-sysctl are front ends that build these; the control socket
carries them as JSON; the core applies a list of them as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from director.core.family import IPV4, Family, family_of
from director.core.packet import Endpoint
from director.core.real_server import Method

NO_ADDRESS = Endpoint(IPV4.unspecified, 0)


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """What identifies a virtual service: protocol (6 or 17) and the VIP with its port, or a firewall mark.

    Port 0 stands for every port of the VIP. With a `mark` (1 to 2^32-1) the protocol is unused, and the
    address is the unspecified one of the family of the marked packets.
    """

    protocol: int = 0
    address: Endpoint = NO_ADDRESS
    mark: int = 0

    @property
    def family(self) -> Family:
        return family_of(self.address.address)


def mark_key(mark: int, family: Family) -> ServiceKey:
    """The key of the service for packets of this family that carry the mark."""
    return ServiceKey(0, NO_ADDRESS if family is IPV4 else Endpoint(family.unspecified, 0), mark)


@dataclass(frozen=True, slots=True)
class _ServiceSettings:
    """`persistent` is how long a client stays with its server, in seconds, or 0.

    With None, the director makes ftp in VS-TUN and VS-DR persistent, and nothing else. Clients with the same
    address under `netmask` count as one; for IPv6 it is a prefix length, and None is the whole address.
    `flags` are the scheduler's. With `one_packet`, each packet of a UDP service is a connection of its own.
    """

    key: ServiceKey
    scheduler: str | None = None  # None: the director's own default
    flags: tuple[str, ...] = ()
    persistent: int | None = None
    netmask: str | None = None
    one_packet: bool = False


@dataclass(frozen=True, slots=True)
class AddService(_ServiceSettings):
    exist_ok: bool = False  # the 1999 tool: the first -A creates the service


@dataclass(frozen=True, slots=True)
class EditService(_ServiceSettings):
    """The service keeps its servers and counters; all settings are replaced."""


@dataclass(frozen=True, slots=True)
class DeleteService:
    key: ServiceKey


@dataclass(frozen=True, slots=True)
class AddServer:
    """A server with `upper` connections gets no more until it has fewer than `lower`; 0: no threshold.

    The default of the lower threshold is three quarters of the upper one.
    """

    key: ServiceKey
    server: Endpoint
    weight: int = 1
    method: Method | None = None  # None: the director's own default
    upper: int = 0
    lower: int = 0


@dataclass(frozen=True, slots=True)
class EditServer:
    """None leaves a value as it is."""

    key: ServiceKey
    server: Endpoint
    weight: int | None = None
    method: Method | None = None
    upper: int | None = None
    lower: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteServer:
    key: ServiceKey
    server: Endpoint


@dataclass(frozen=True, slots=True)
class Clear:
    """Remove every service."""


@dataclass(frozen=True, slots=True)
class Zero:
    """Reset the counters of a service and its servers, or of all services."""

    key: ServiceKey | None = None


@dataclass(frozen=True, slots=True)
class SetTimeouts:
    """Idle seconds in ESTABLISHED, in FIN_WAIT and of UDP; 0 leaves a timeout as it is."""

    tcp: int = 0
    tcpfin: int = 0
    udp: int = 0


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Change one of the settings in sysctls.py, by its kernel name."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class _MarkRule:
    """Packets to `network` (address or CIDR) and ports `first` to `last` carry the firewall mark `mark`.

    `protocol` is 6 or 17, 0 for both.
    """

    mark: int
    network: str
    protocol: int = 0
    first: int = 0
    last: int = 65535


@dataclass(frozen=True, slots=True)
class AddMark(_MarkRule):
    """Append a rule."""


@dataclass(frozen=True, slots=True)
class DeleteMark(_MarkRule):
    """Remove the first rule with the same values."""


@dataclass(frozen=True, slots=True)
class ClearMarks:
    """Remove all rules: no packet carries a firewall mark."""


def addresses_in(command: Command) -> Iterator[str]:
    """The addresses and networks in a command, with the unspecified address in the key of a firewall mark."""
    key, server, network = (getattr(command, name, None) for name in ("key", "server", "network"))
    if key is not None:
        yield key.address.address
    if server is not None:
        yield server.address
    if network is not None:
        yield network


Command = (
    AddService
    | EditService
    | DeleteService
    | AddServer
    | EditServer
    | DeleteServer
    | Clear
    | Zero
    | SetTimeouts
    | SetSysctl
    | AddMark
    | DeleteMark
    | ClearMarks
)
