"""The commands that change the rules: one model for all administration tools.

ippfvsadm (1999), ipvsadm, fwmark and ipvs-sysctl are front ends that build these; the control socket
carries them as JSON; the core applies a list of them as a whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from director.core import ALL_ONES
from director.core.packet import Endpoint
from director.core.real_server import Method

NO_ADDRESS = Endpoint("0.0.0.0", 0)


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """What identifies a virtual service: protocol (6 or 17) and the VIP with its port, or a firewall mark.

    Port 0 stands for every port of the VIP. With a `mark` (1 to 2^32-1) the other two are unused.
    """

    protocol: int = 0
    address: Endpoint = NO_ADDRESS
    mark: int = 0


@dataclass(frozen=True, slots=True)
class _ServiceSettings:
    """`persistent` is how long a client stays with its server, in seconds; 0 means not at all.

    None leaves that to the director, which makes ftp in VS-TUN and VS-DR persistent. Clients whose addresses
    are the same under `netmask` count as one. `flags` are the scheduler's. With `one_packet`, each packet of
    a UDP service is a connection of its own.
    """

    key: ServiceKey
    scheduler: str | None = None  # None: the director's own default
    flags: tuple[str, ...] = ()
    persistent: int | None = None
    netmask: str = ALL_ONES
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
    """With `upper` connections it gets no more until it has fewer than `lower`; 0: no threshold.

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
