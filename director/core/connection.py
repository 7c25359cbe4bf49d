"""One connection that the director remembers: who talks to whom, and in which state.

It holds values and small rules about itself; where it is kept is the table's business.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from director.core.packet import UDP, Endpoint
from director.core.states import ACTIVE, State
from director.core.timers import UNSET

if TYPE_CHECKING:
    from director.core.decision import Method
    from director.core.ftp_helper import Session
    from director.core.persistence import Template
    from director.core.service import RealServer, VirtualService


class Connection:
    """A client's connection (or one expected from it: ANY_PORT until it comes) to a real server.

    `expires` is the time at which it ends if no packet comes before; `scheduled` belongs to the
    timers, and `chained`, the next one in its bucket, to the table. `control` is what it exists
    because of, an ftp control connection or a template, which lives on while it has `children`.
    `ftp` is the helper's memory of a control connection; `packets` have come from the client. `stored` is
    the state in which a table that others change as well has it, as far as the core knows.
    """

    __slots__ = (
        "chained",
        "children",
        "client",
        "control",
        "expires",
        "ftp",
        "method",
        "packets",
        "protocol",
        "scheduled",
        "server",
        "server_end",
        "service",
        "state",
        "stored",
        "vip",
    )

    def __init__(
        self,
        protocol: int,
        client: Endpoint,
        vip: Endpoint,
        server_end: Endpoint,
        server: RealServer,
        service: VirtualService,
        control: Connection | Template | None = None,
    ) -> None:
        self.protocol = protocol
        self.client = client
        self.vip = vip
        self.server_end = server_end
        self.server = server
        self.service = service
        self.control = control
        self.method: Method = server.method
        self.state = self.stored = State.UDP if protocol == UDP else State.NONE
        self.expires = 0.0
        self.scheduled = UNSET
        self.children = 0
        self.packets = 0
        self.chained: Connection | None = None
        self.ftp: Session | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Connection:
        """A copy that is in no table."""
        twin = memo[id(self)] = Connection.__new__(Connection)
        for name in self.__slots__:
            value = None if name == "chained" else deepcopy(getattr(self, name), memo)
            setattr(twin, name, value)
        return twin

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    def came_in(self, length: int) -> None:
        """Count a packet of so many bytes from the client's side, for the server and for the service."""
        self.server.stats.came_in(length)
        self.service.stats.came_in(length)

    def went_out(self, length: int) -> None:
        """Count one from the server's side, likewise."""
        self.server.stats.went_out(length)
        self.service.stats.went_out(length)

    def as_dict(self, now: float) -> dict[str, Any]:
        """JSON-ready; `expires` in seconds from `now`."""
        return {
            "protocol": "UDP" if self.protocol == UDP else "TCP",
            "expires": max(0.0, round(self.expires - now, 3)),
            "state": self.state.value,
            "client": str(self.client),
            "vip": str(self.vip),
            "server": str(self.server_end),
        }

    def __str__(self) -> str:
        return f"{self.client} > {self.vip} > {self.server_end}"
