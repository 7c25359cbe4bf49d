"""One connection that the director remembers: who talks to whom, and in which state.

It holds values and small rules about itself; where it is kept is the table's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from director.core.decision import Method
from director.core.packet import UDP, Endpoint
from director.core.states import State

if TYPE_CHECKING:
    from director.core.sequence import Shift
    from director.core.service import RealServer, VirtualService


class Connection:
    """A client's connection (or one expected from it: port 0 until it comes) to a real server.

    `expires` is the time at which it ends if no packet comes before; `scheduled` is the
    table's own note of when it will look. `shift_out` and `tail_*` are for the ftp helper.
    """

    __slots__ = (
        "client",
        "expires",
        "method",
        "protocol",
        "scheduled",
        "server",
        "server_end",
        "service",
        "shift_out",
        "state",
        "tail",
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
    ) -> None:
        self.protocol = protocol
        self.client = client
        self.vip = vip
        self.server_end = server_end
        self.server = server
        self.service = service
        self.method: Method = server.method
        self.state = State.UDP if protocol == UDP else State.NONE
        self.expires = self.scheduled = 0.0
        self.shift_out: Shift | None = None
        self.tail: tuple[int, bytes] | None = None  # of an unfinished ftp command: next sequence, text

    @property
    def active(self) -> bool:
        return self.state is State.ESTABLISHED

    def as_dict(self, now: float) -> dict[str, Any]:
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
