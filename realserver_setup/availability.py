"""The values in the configuration of two directors with high availability: checks, takeover, synchronisation.

One `AvailabilitySetup` per director; the configuration templates (templates/keepalived.conf.j2) print its
fields, as the templates of set-up scripts print those in build.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from director.core.real_server import Method
from realserver_setup import validators
from realserver_setup.build import Interface

VRID = 51  # the virtual router ID, which the synchronisation daemons use as well
CHECKED_PATH = "/name"  # the page that HTTP checks request
DEADTIME = 10  # missed heartbeats after which a director counts as dead
PREEMPT_DELAY = 3  # seconds for which a returning director waits, to receive the connections first


@dataclass(frozen=True, slots=True)
class CheckedServer:
    """A real server, checked at its RIP: by an HTTP request (`is_http`) or only by a TCP connection."""

    address: str
    port: int
    weight: int
    is_http: bool


@dataclass(frozen=True, slots=True)
class CheckedService:
    """A virtual service with its real servers, at least one.

    `persistence` in seconds, or 0. ftp needs it if the director does not see replies (VS-TUN, VS-DR).
    """

    port: int
    servers: tuple[CheckedServer, ...]
    persistence: int = 0


@dataclass(frozen=True, slots=True)
class AvailabilitySetup:
    """One of two directors: `pair` is its interface on the network that both share.

    `virtual` has the addresses of the active director, each with its interface. `interval` is the time
    between two adverts or heartbeats, in seconds.
    """

    name: str
    number: int
    method: Method
    scheduler: str
    outside: Interface
    pair: Interface
    peer: str
    virtual: tuple[tuple[str, str], ...]
    services: tuple[CheckedService, ...]
    takeover: str
    interval: float
    sync: bool

    def __post_init__(self) -> None:
        validators.host_name("name", self.name)
        validators.host_name("peer", self.peer)

    @property
    def vip(self) -> str:
        return self.virtual[0][0]

    @property
    def bits(self) -> int:
        """The prefix length of a single address."""
        return 128 if ":" in self.vip else 32

    @property
    def priority(self) -> int:
        """The VRRP priority; the first director is master while it runs."""
        return 150 if self.number == 1 else 100

    @property
    def tracked(self) -> bool:
        """Whether the director fails with its interface `pair`: in VS-NAT it leads to the real servers."""
        return self.method is Method.NAT

    @property
    def checked_path(self) -> str:
        return CHECKED_PATH

    @property
    def vrid(self) -> int:
        return VRID

    @property
    def preempt_delay(self) -> int:
        return PREEMPT_DELAY

    # ---- heartbeat ----

    @property
    def milliseconds(self) -> int:
        return round(self.interval * 1000)

    @property
    def deadtime(self) -> int:
        """Milliseconds without a heartbeat after which the peer counts as dead."""
        return DEADTIME * self.milliseconds

    @property
    def initdead(self) -> int:
        """`deadtime` at the start, in milliseconds: longer, as the lab starts the first director alone."""
        return self.deadtime + self.milliseconds

    @property
    def first(self) -> str:
        return min(self.name, self.peer)

    @property
    def second(self) -> str:
        return max(self.name, self.peer)
