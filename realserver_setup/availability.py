"""The values of the programs that make two directors highly available: checks, takeover, synchronisation.

One `AvailabilitySetup` per director; the templates of their configurations (templates/keepalived.conf.j2)
print its fields, as those of the set-up scripts do (build.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from director.core.real_server import Method
from realserver_setup import validators
from realserver_setup.build import Interface

VRID = 51  # the number of the virtual router, and of the synchronisation daemons
CHECKED_PATH = "/name"  # of the page that checks ask for
DEADTIME = 10  # heartbeats that may be missed
PREEMPT_DELAY = 3  # seconds after which a director that comes back takes over: the connections come first


@dataclass(frozen=True, slots=True)
class CheckedServer:
    """A real server that is checked at its RIP; `is_http`: by a page, not only by a connection."""

    address: str
    port: int
    weight: int
    is_http: bool


@dataclass(frozen=True, slots=True)
class CheckedService:
    """A virtual service with its real servers, at least one.

    `persistence` in seconds, or 0: ftp needs it where the director does not see replies (VS-TUN, VS-DR).
    """

    port: int
    servers: tuple[CheckedServer, ...]
    persistence: int = 0


@dataclass(frozen=True, slots=True)
class AvailabilitySetup:
    """One of two directors: `pair` is its interface on the network that both share.

    `virtual` are the addresses that the active one owns, each with the interface that has it. `interval`
    is between two signs of life, in seconds.
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
        """The first is the master as long as it runs."""
        return 150 if self.number == 1 else 100

    @property
    def tracked(self) -> bool:
        """Whether a director without `pair` is of no use: in VS-NAT it leads to the real servers."""
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
        """Milliseconds: ten heartbeats, as was usual."""
        return DEADTIME * self.milliseconds

    @property
    def initdead(self) -> int:
        """The lab starts the first director alone."""
        return self.deadtime + self.milliseconds

    @property
    def first(self) -> str:
        return min(self.name, self.peer)

    @property
    def second(self) -> str:
        return max(self.name, self.peer)
